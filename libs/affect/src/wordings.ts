/**
 * How each task is asked: instructions in our own words, in the spirit of EmoLLM's ten a task (Liu et al. 2024, section 3.2).
 * Training asks in the first `paraphrases` of each list; those after them are kept for evaluation.
 */
import type { Inquiry } from './tasks.js';

/** What a wording can name. */
interface Given {
  /** The numbers of least and of most. */
  readonly low: number;
  readonly high: number;
  /** All labels, or the words of a scale from least to most. */
  readonly labels: string;
  /** The words of a scale from most to least. */
  readonly falling: string;
  readonly emotion: string;
}

type Wording = (given: Given) => string;

const sentimentLabels: readonly Wording[] = [
  ({ labels }) => `Classify the sentiment of the text as one of: ${labels}.`,
  ({ labels }) => `Which sentiment does the text show? Choose one of: ${labels}.`,
  ({ labels }) => `Name the mood of the writer with one of: ${labels}.`,
  ({ labels }) => `Decide how the text feels about its subject: ${labels}.`,
  ({ labels }) => `Pick the polarity that fits the text best: ${labels}.`,
  ({ labels }) => `Label the overall tone of the text. Options: ${labels}.`,
  ({ labels }) => `Of ${labels}, which describes the attitude of the writer best?`,
  ({ labels }) => `Judge the sentiment of the text; the possible answers are ${labels}.`,
  ({ labels }) => `Assign the text one of these sentiments: ${labels}.`,
  ({ labels }) => `What is the tone of the text? Answer with one of: ${labels}.`,
  ({ labels }) => `Sort the text by its sentiment into one of these classes: ${labels}.`,
  ({ labels }) => `Tell which of these the writer sounds like: ${labels}.`,
  ({ labels }) => `Determine the polarity that the text conveys, given these choices: ${labels}.`,
  ({ labels }) => `Read the text and give its sentiment in one term of this list: ${labels}.`,
];

const sentimentNumbers: readonly Wording[] = [
  ({ low, high }) => `Rate the sentiment of the text from ${low} (most negative) to ${high} (most positive).`,
  ({ low, high }) => `How positive is the text, from ${low} (not at all) to ${high} (entirely)?`,
  ({ low, high }) => `Score the valence of the text between ${low} (negative) and ${high} (positive).`,
  ({ low, high }) => `Give the mood of the writer as a number, ${low} at worst and ${high} at best.`,
  ({ low, high }) => `Estimate how good or bad the text sounds, ${low} being worst, ${high} best.`,
  ({ low, high }) =>
    `On a scale from ${low} (very negative) to ${high} (very positive), how does the text feel?`,
  ({ low, high }) =>
    `Measure the valence of the text: ${low} stands for fully negative, ${high} for fully positive.`,
  ({ low, high }) =>
    `Assign the text a sentiment score, where ${high} is most positive and ${low} is most negative.`,
  ({ low, high }) =>
    `Judge the attitude of the writer with a number between ${high} (all positive) and ${low} (all negative).`,
  ({ low, high }) =>
    `Quantify the sentiment of the text; the scale runs from ${low}, extremely negative, to ${high}, extremely positive.`,
  ({ low, high }) =>
    `If ${low} is as unpleasant as can be and ${high} as pleasant as can be, where does the text stand?`,
  ({ low, high }) => `Gauge the tone of the text from ${low} (bad) to ${high} (good).`,
  ({ low, high }) =>
    `Determine how favourable the text is: ${high} for the most favourable, ${low} for the least.`,
  ({ low, high }) => `Place the text between ${low}, the most negative, and ${high}, the most positive.`,
];

const sentimentWords: readonly Wording[] = [
  ({ labels }) => `Rate the sentiment of the text in words: ${labels}.`,
  ({ labels }) => `How positive is the text? Choose one of: ${labels}.`,
  ({ labels }) => `Score the valence of the text with one of these grades: ${labels}.`,
  ({ labels }) => `Give the mood of the writer as one of: ${labels}.`,
  ({ labels }) => `Estimate how good or bad the text sounds: ${labels}.`,
  ({ falling }) => `How does the text feel, on this scale from best to worst: ${falling}?`,
  ({ labels }) => `Measure the valence of the text by these grades, lowest first: ${labels}.`,
  ({ falling }) => `Assign the text the grade that fits its sentiment, of: ${falling}.`,
  ({ labels }) => `Judge the attitude of the writer in one of these terms: ${labels}.`,
  ({ labels }) => `Quantify the sentiment of the text, but in words: ${labels}.`,
  ({ falling }) => `Which step of this ladder, highest first, fits the tone of the text: ${falling}?`,
  ({ labels }) => `Gauge the tone of the text as one of: ${labels}.`,
  ({ labels }) => `Determine how favourable the text is, by this list: ${labels}.`,
  ({ falling }) => `Place the text on this scale, most positive first: ${falling}.`,
];

const oneEmotion: readonly Wording[] = [
  ({ labels }) => `Which emotion does the text express? Choose one of: ${labels}.`,
  ({ labels }) => `Classify the emotion of the text as one of: ${labels}.`,
  ({ labels }) => `Name the main feeling of the writer with one of: ${labels}.`,
  ({ labels }) => `Pick the emotion that fits the text best: ${labels}.`,
  ({ labels }) => `Decide what the writer feels most: ${labels}.`,
  ({ labels }) => `Label the text with the emotion that it conveys. Options: ${labels}.`,
  ({ labels }) => `Of ${labels}, which emotion stands out in the text?`,
  ({ labels }) => `Judge what the writer feels; the possible answers are ${labels}.`,
  ({ labels }) => `Assign the text one of these emotions: ${labels}.`,
  ({ labels }) => `What emotion comes through in the text? Answer with one of: ${labels}.`,
  ({ labels }) => `Sort the text by its emotion into one of these classes: ${labels}.`,
  ({ labels }) => `Tell which of these feelings the text voices: ${labels}.`,
  ({ labels }) => `Determine the emotion behind the text, given these choices: ${labels}.`,
  ({ labels }) => `Read the text and give its feeling in one term of this list: ${labels}.`,
];

const manyEmotions: readonly Wording[] = [
  ({ labels }) => `Which emotions does the text express? Choose one or more of: ${labels}.`,
  ({ labels }) => `Classify the emotions of the text with all that fit of: ${labels}.`,
  ({ labels }) => `Name every feeling of the writer, one or more of: ${labels}.`,
  ({ labels }) => `Pick each emotion found in the text, at least one of: ${labels}.`,
  ({ labels }) => `Decide what the writer feels, all that apply of: ${labels}.`,
  ({ labels }) => `Label the text with all emotions that it conveys. Options: ${labels}.`,
  ({ labels }) => `Of ${labels}, which emotions are present in the text?`,
  ({ labels }) => `Judge what the writer feels; one or several of these may hold: ${labels}.`,
  ({ labels }) => `Assign the text every emotion that applies, of these: ${labels}.`,
  ({ labels }) => `What emotions come through in the text? Answer with one or more of: ${labels}.`,
  ({ labels }) => `Mark each emotion that the text shows, from: ${labels}.`,
  ({ labels }) => `Tell which of these feelings, one at least, the text voices: ${labels}.`,
  ({ labels }) => `Determine all emotions behind the text, given these choices: ${labels}.`,
  ({ labels }) => `Read the text and give its feelings in terms of this list, one at least: ${labels}.`,
];

const intensityNumbers: readonly Wording[] = [
  ({ low, high, emotion }) => `Rate the ${emotion} in the text from ${low} (none) to ${high} (most).`,
  ({ low, high, emotion }) =>
    `How strong is ${emotion} in the text, from ${low} (least) to ${high} (strongest)?`,
  ({ low, high, emotion }) => `Score the writer's ${emotion} between ${low} (lowest) and ${high} (highest).`,
  ({ low, high, emotion }) =>
    `Give the intensity of ${emotion} as a number from ${low} (low) to ${high} (high).`,
  ({ low, high, emotion }) =>
    `Estimate how much ${emotion} the text carries, ${low} at least, ${high} at most.`,
  ({ low, high, emotion }) =>
    `On a scale from ${low} (no ${emotion}) to ${high} (extreme ${emotion}), where is the text?`,
  ({ low, high, emotion }) =>
    `Measure the ${emotion} of the writer: ${low} stands for none, ${high} for the most there can be.`,
  ({ low, high, emotion }) =>
    `Assign the text a score for ${emotion}, where ${high} is the highest and ${low} the lowest.`,
  ({ low, high, emotion }) =>
    `Judge the strength of ${emotion} with a number between ${high} (strongest) and ${low} (weakest).`,
  ({ low, high, emotion }) =>
    `Quantify the ${emotion} in the text; the scale runs from ${low}, least, to ${high}, most.`,
  ({ low, high, emotion }) =>
    `If ${low} means the least ${emotion} and ${high} the most, how much does the writer feel?`,
  ({ low, high, emotion }) => `Gauge the level of ${emotion} from ${low} (minimal) to ${high} (maximal).`,
  ({ low, high, emotion }) =>
    `Determine how intensely the text expresses ${emotion}: ${high} for the most intense, ${low} for the least.`,
  ({ low, high, emotion }) =>
    `Place the ${emotion} of the text between ${low}, the weakest, and ${high}, the strongest.`,
];

const intensityWords: readonly Wording[] = [
  ({ labels, emotion }) => `Rate the ${emotion} in the text in words: ${labels}.`,
  ({ labels, emotion }) => `How strong is ${emotion} in the text? Choose one of: ${labels}.`,
  ({ labels, emotion }) => `Score the writer's ${emotion} with one of these grades: ${labels}.`,
  ({ labels, emotion }) => `Give the intensity of ${emotion} as one of: ${labels}.`,
  ({ labels, emotion }) => `Estimate how much ${emotion} the text carries: ${labels}.`,
  ({ falling, emotion }) => `On this scale from most to least ${emotion}, where is the text: ${falling}?`,
  ({ labels, emotion }) => `Measure the ${emotion} of the writer by these grades, lowest first: ${labels}.`,
  ({ falling, emotion }) => `Assign the text the grade that fits its ${emotion}, of: ${falling}.`,
  ({ labels, emotion }) => `Judge the strength of ${emotion} in one of these terms: ${labels}.`,
  ({ labels, emotion }) => `Quantify the ${emotion} in the text, but in words: ${labels}.`,
  ({ falling, emotion }) =>
    `Which step of this ladder, highest first, fits the ${emotion} of the writer: ${falling}?`,
  ({ labels, emotion }) => `Gauge the level of ${emotion} as one of: ${labels}.`,
  ({ labels, emotion }) => `Determine how intensely the text expresses ${emotion}, by this list: ${labels}.`,
  ({ falling, emotion }) => `Place the ${emotion} of the text on this scale, strongest first: ${falling}.`,
];

/** Wordings of each instruction that training asks in. */
export const paraphrases = 12;
/** Those that it never asks in. */
export const heldOutParaphrases: readonly number[] = [12, 13];

/** Every wording of an instruction, and the words before the answer. */
export function wordingsOf({ task, labelSet, multiLabel }: Inquiry): {
  readonly instructions: readonly Wording[];
  readonly end: Wording;
} {
  const inWords = labelSet.length > 0;
  switch (task) {
    case 'sentiment-classification':
      return { instructions: sentimentLabels, end: () => 'Sentiment:' };
    case 'sentiment-regression':
      return inWords
        ? { instructions: sentimentWords, end: () => 'Sentiment grade:' }
        : { instructions: sentimentNumbers, end: () => 'Sentiment score:' };
    case 'emotion-classification':
      return { instructions: multiLabel ? manyEmotions : oneEmotion, end: () => 'Emotion:' };
    case 'emotion-regression':
      return inWords
        ? { instructions: intensityWords, end: ({ emotion }) => `Grade of ${emotion}:` }
        : { instructions: intensityNumbers, end: ({ emotion }) => `Intensity of ${emotion}:` };
  }
}
