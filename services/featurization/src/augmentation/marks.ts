/** Other ways to write the same emoji and hashtags. In any language. */
import { type Edit, someOf } from './edit.js';
import { type Replacement, replaced } from './sentence.js';

const tones = ['', '🏻', '🏼', '🏽', '🏾', '🏿'];
const modifier = /[\u{1f3fb}-\u{1f3ff}]/gu;
/** One emoji with what belongs to it, no flag and no family. */
const emojis = /\p{Extended_Pictographic}(?:\ufe0f|[\u{1f3fb}-\u{1f3ff}])?(?!\u200d)/gu;

/** The same emoji by other code points: another skin tone, with or without the sign that asks for colours. */
function variantsOf(emoji: string): string[] {
  const bare = emoji.replace(modifier, '').replace('\ufe0f', '');
  if (/^\p{Emoji_Modifier_Base}$/u.test(bare))
    return tones.map((tone) => bare + tone).filter((other) => other !== emoji);
  // Emoji that are text by default have both forms.
  return /^\p{Emoji_Presentation}$/u.test(bare)
    ? []
    : [bare, `${bare}\ufe0f`].filter((other) => other !== emoji);
}

/** Emoji in another skin tone or form. */
export const emoji: Edit = (text, { rng }) => {
  const edits: Replacement[] = [...text.matchAll(emojis)].flatMap(({ 0: found, index }) => {
    // Part of a longer sequence.
    if (text.charCodeAt(index - 1) === 0x200d || /[#*0-9©®™]/.test(found)) return [];
    const others = variantsOf(found);
    if (others.length === 0) return [];
    return [{ start: index, end: index + found.length, by: others[rng.int(others.length)] }];
  });
  return edits.length === 0 ? undefined : replaced(text, edits);
};

const hashtags = /(?<![\p{L}\p{N}&#])#(\p{L}[\p{L}\p{N}_]*)/gu;

/** `notHappyAtAll` → ['not', 'Happy', 'At', 'All'] */
function partsOf(tag: string): string[] {
  return tag.split(/_|(?<=\p{Ll})(?=\p{Lu})/u).filter((part) => part !== '');
}

/** Hashtags in small letters, as words with capitals, or torn into their words. */
export const hashtag: Edit = (text, { rng }) => {
  const found = [...text.matchAll(hashtags)];
  const edits = someOf(found, 1 + rng.int(Math.max(1, found.length)), rng).flatMap(
    ({ 0: whole, 1: tag, index }) => {
      const parts = partsOf(tag);
      const others = [
        `#${tag.toLowerCase()}`,
        ...(parts.length > 1
          ? [parts.join(' '), `#${parts.map((part) => part.toLowerCase()).join('_')}`]
          : []),
      ].filter((other) => other !== whole);
      if (others.length === 0) return [];
      return [{ start: index, end: index + whole.length, by: others[rng.int(others.length)] }];
    },
  );
  return edits.length === 0 ? undefined : replaced(text, edits);
};
