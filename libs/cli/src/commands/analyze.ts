import { addAbortSignal } from 'node:stream';
import { InvalidArgument, textFault, textLines } from '@emotune/base';
import type { common, inference } from '@emotune/proto';
import type { Draft } from '@emotune/service/client';
import { analysisJson, analysisText } from '../format/analysis.js';
import type { Io } from '../io.js';
import { withPlatform } from '../session.js';
import {
  type AddCommands,
  labelsOption,
  scaleOption,
  sessionOf,
  taskMessage,
  taskOption,
} from './options.js';

const examples = `
Examples:
  emotune analyze "What a wonderful surprise!"
  emotune analyze "Not bad" --task sentiment-regression --scale -4..4
  emotune analyze "I miss them" --task emotion-regression --emotion sadness
  emotune analyze "Ihanaa!" --language fi
  emotune analyze --json --task sentiment-classification --labels bad,good < texts.txt`;

interface AnalyzeOptions {
  readonly model?: string;
  readonly task?: string;
  readonly scale?: common.Scale;
  readonly labels?: string[];
  readonly emotion?: string;
  readonly language?: string;
  readonly raw?: boolean;
}

const standardInput = 'standard input';

/** What comes until it ends or the signal aborts. */
async function* piecesOf(input: Io['stdin'], signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of addAbortSignal(signal, input)) yield Buffer.from(piece);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** One text a line, read as files are; blank lines say nothing. @throws InvalidArgument naming the line. */
async function* linesOf(input: Io['stdin'], signal: AbortSignal): AsyncGenerator<string> {
  for await (const { text, number } of textLines(piecesOf(input, signal), standardInput)) {
    const fault = textFault(text);
    if (fault !== undefined) throw InvalidArgument.at(`${standardInput}, line ${number}`, fault);
    if (text.trim() !== '') yield text;
  }
}

export const addAnalyzeCommand: AddCommands = (program, io) => {
  program
    .command('analyze')
    .description('ask a model about texts: the arguments, or each line of standard input')
    .argument('[text...]', 'the texts')
    .option('--model <name>', 'NAME or NAME@VERSION (default: the promoted model, else the newest)')
    .addOption(taskOption('ask only this (default: all four)'))
    .addOption(scaleOption('regression: the scale of the answer (default: what the model was taught)'))
    .addOption(labelsOption('classification: the labels to choose from (default: what the model was taught)'))
    .option('--emotion <emotion>', 'emotion regression: whose intensity')
    .option('--language <tag>', 'of the texts (BCP 47): warns where the model saw none of it')
    .option('--raw', 'what the model says as it is, without calibration')
    .addHelpText('after', examples)
    .action(async (texts: string[], options: AnalyzeOptions, command) => {
      const session = sessionOf(io, command);
      const { signal } = session;
      if (texts.length === 0 && io.stdin.isTTY)
        throw InvalidArgument.at('TEXT', 'expected at least one, or lines on standard input, got neither');
      const { model = '', task, scale, labels = [], emotion = '', language = '', raw = false } = options;
      const question: Draft<inference.AnalyzeRequest> = {
        model,
        ...(task === undefined ? {} : { task: taskMessage(task) }),
        scale,
        labels,
        emotion,
        language,
        raw,
      };
      async function* requests() {
        for await (const text of texts.length > 0 ? texts : linesOf(io.stdin, signal))
          yield { ...question, text };
      }
      await withPlatform(session, async (channel) => {
        const analyses = channel
          .client<inference.AnalysisServiceClient>('AnalysisService')
          .duplex('analyzeStream', requests(), { signal });
        for await (const analysis of analyses) {
          if (session.json)
            for (const item of analysisJson(analysis)) await session.write(JSON.stringify(item));
          else await session.write(analysisText(analysis));
        }
      });
    });
};
