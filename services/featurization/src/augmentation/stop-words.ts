/** Words without a meaning of their own: EDA takes no synonyms of them (Wei and Zou 2019, section 2). */
const words = new Set(
  `a about above after again against am an and are around as at be because been before being below between both by came come
  did do does doing done down during for from get gets getting go goes going gone got had has have having he her here hers
  herself him himself his how i i'd i'll i'm i've in into is it it's its itself let let's made make makes me mine my myself
  of off on once one or other our ours ourselves out over own put said same say says she she's so take that that's the their
  theirs them themselves then there there's these they they're this those through thus to two under until up upon us use used
  was we we're we've were what what's when where which who whom whose why will with within you you'd you'll you're you've
  your yours yourself yourselves`.split(/\s+/),
);

export function isStopWord(word: string): boolean {
  return words.has(word.toLowerCase().replaceAll('’', "'"));
}
