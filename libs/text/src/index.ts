export { type BpeOptions, trainBpe } from './bpe.js';
export {
  type ChatMessage,
  type ChatTemplate,
  loadChatTemplate,
  parseChatTemplate,
  type RenderChatOptions,
  renderChat,
} from './chat.js';
export { endNotices, endOfSequence, endsOfSequence, type ReadText, tokenizerOf } from './end-of-sequence.js';
export { type GgufMetadata, ggufTokenizerConfig, ggufTokenizerJson } from './gguf-tokenizer.js';
export { bandsFor } from './min-hash.js';
export { objectIn, textAt } from './model-file.js';
export { NearTexts } from './near-texts.js';
export { Pattern, Steps } from './pattern.js';
export { tryTokenizer } from './probes.js';
export { textKey } from './text-key.js';
export { Tokenizer } from './tokenizer.js';
