export { intensifies, isAffective, negates } from './affective-words.js';
export { ConstantBaseline, vaderAnswer } from './baselines.js';
export { bootstrapIntervals, type Interval, type Intervals, quantile } from './bootstrap.js';
export {
  type Answered,
  answered,
  type Calibration,
  calibratable,
  calibrationOf,
  fitCalibrations,
} from './calibration.js';
export { splitHalf } from './ceiling.js';
export { coverage } from './conformal.js';
export type { Curve } from './curve.js';
export { crpsOf, type Distribution, softmax } from './distribution.js';
export {
  type CalibrationBin,
  type Confusion,
  confusionsOf,
  hardest,
  labelCalibration,
  numberCalibration,
  slicesOf,
} from './error-analysis.js';
export { type HardCluster, type HardRow, hardClusters } from './hard-clusters.js';
export { heldOutQuestions } from './held-out.js';
export { InducedCounts, WordCounts } from './induced-lexicon.js';
export { type IntensityBin, intensityBins } from './intensity.js';
export { alphaInterval, type Difference, krippendorffAlpha, type Unit } from './krippendorff.js';
export { type LabelRow, labelRows } from './label-rows.js';
export { defaultLabelSeparator, labelSeparatorViolations, labelSets, labelViolations } from './labels.js';
export { languageViolations } from './languages.js';
export { anyLanguage, type Lexicon } from './lexicon.js';
export { type KeptLexicon, lexiconsFile, lexiconsJson, parseLexicons } from './lexicon-file.js';
export {
  readAfinn,
  readEmojiRanking,
  readEmoTag,
  readEmpath,
  readNrcEmoLex,
  readNrcIntensity,
  readNrcVad,
  readPattern,
} from './lexicon-readers.js';
export type { Cue } from './lexicon-set.js';
export {
  bundledAfinn,
  bundledLexicons,
  bundledVader,
  type Explanation,
  explain,
  Lexicons,
} from './lexicons.js';
export {
  classificationMeasure,
  type LabelOutcome,
  labelError,
  type Measure,
  type MetricName,
  type Metrics,
  metricNames,
  type NumberOutcome,
  regressionMeasure,
  squaredError,
} from './metrics.js';
export { isAmong, type OtherKind, type Otherwise, otherwise, scalesBut } from './otherwise.js';
export {
  correlationPermutation,
  holm,
  membersPermutation,
  type PairedTest,
  pairedPermutation,
} from './permutation.js';
export { signTest, wilsonInterval } from './proportions.js';
export {
  answerTokens,
  candidateTokens,
  digitTokens,
  questionTokens,
} from './question-tokens.js';
export {
  type Candidate,
  candidatesOf,
  defaultQuestion,
  numbersOn,
  type Question,
  questionOf,
  renderAnswer,
  renderPrompt,
} from './questions.js';
export { disagreement, median } from './raters.js';
export { decimalsOf, nativeOf, ratingStep, ratingValues, scaleViolations, unitOf } from './scales.js';
export {
  type Example,
  type Gold,
  type Inquiry,
  isRegression,
  labelGold,
  type Meaning,
  multiLabelThreshold,
  numberGold,
  ratedGold,
  type Scale,
  type Skill,
  type SourceExample,
  type Split,
  skills,
  splits,
  type Task,
  type TaughtInquiry,
  tasks,
} from './tasks.js';
export {
  calibrated,
  inquiryKey,
  labelInquiry,
  parseTeaching,
  type Teaching,
  taughtInquiry,
  teachingFile,
  teachingJson,
  teachingOf,
  unseenLanguages,
} from './teaching.js';
export { vaderCompound } from './vader.js';
export { paraphrases } from './wordings.js';
export { readWordNetAffect } from './wordnet-affect.js';

// What is said of data: whether texts may count as one, and what licences ask.

export { type AffectiveText, affectiveText } from './affect-marks.js';
export { foldedLabel } from './labels.js';
export {
  type LicenceConflict,
  licenceConflicts,
  licenceTerms,
  nearestLicence,
  type Obligation,
  obligations,
  obligationTexts,
} from './licences.js';
