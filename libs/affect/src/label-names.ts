/**
 * Other names of labels and coarser sets of them: what training asks beside a source's own labels, so that the labels of the
 * prompt are read. Names are of our own choosing; a name stands for one label alone and is no label of a known set.
 */

/** Names that training uses, and one that it never does. */
interface Names {
  readonly taught: readonly string[];
  readonly heldOut: string;
}

const names = (taught: string, heldOut: string): Names => ({ taught: taught.split(', '), heldOut });

/** By the label as sources have it. */
const emotionNames: ReadonlyMap<string, Names> = new Map(
  Object.entries({
    anger: names('rage, fury', 'wrath'),
    anticipation: names('expectation, looking forward', 'expectancy'),
    disgust: names('revulsion, repugnance', 'loathing'),
    fear: names('dread, fright', 'terror'),
    joy: names('happiness, delight', 'gladness'),
    sadness: names('sorrow, unhappiness', 'gloom'),
    surprise: names('astonishment, being startled', 'amazement'),
    trust: names('faith, confidence', 'reliance'),
    neutral: names('no emotion, none of these', 'unemotional'),
    admiration: names('esteem, looking up to someone', 'high regard'),
    amusement: names('mirth, finding it funny', 'hilarity'),
    annoyance: names('irritation', 'exasperation'),
    approval: names('agreement', 'endorsement'),
    caring: names('compassion, tenderness', 'concern for others'),
    confusion: names('bewilderment', 'puzzlement'),
    curiosity: names('inquisitiveness', 'wanting to know'),
    desire: names('longing, craving', 'yearning'),
    disappointment: names('letdown', 'dashed hopes'),
    disapproval: names('objection', 'disagreement'),
    embarrassment: names('awkwardness', 'being ashamed'),
    excitement: names('thrill', 'exhilaration'),
    gratitude: names('thankfulness', 'being thankful'),
    grief: names('mourning', 'bereavement'),
    love: names('affection', 'fondness'),
    nervousness: names('anxiety', 'unease'),
    optimism: names('hopefulness', 'confidence in what comes'),
    pessimism: names('hopelessness', 'expecting the worst'),
    pride: names('being proud', 'proudness'),
    realization: names('insight', 'coming to see'),
    relief: names('being relieved', 'a weight off the mind'),
    remorse: names('regret', 'contrition'),
  }),
);

const sentimentNames: ReadonlyMap<string, Names> = new Map(
  Object.entries({
    negative: names('bad, unfavourable', 'adverse'),
    neutral: names('neither, balanced', 'in between'),
    positive: names('good, favourable', 'upbeat'),
  }),
);

/** What a question about emotions or about sentiment may call a label. */
export function namesOf(label: string, sentiment: boolean): Names | undefined {
  return (sentiment ? sentimentNames : emotionNames).get(label);
}

/** Labels that say that there is no emotion: they stand alone in an answer. */
export const neutralNames: ReadonlySet<string> = new Set([
  'neutral',
  ...emotionNames.get('neutral')!.taught,
  emotionNames.get('neutral')!.heldOut,
]);

const groups = (of: Readonly<Record<string, string>>): ReadonlyMap<string, string> =>
  new Map(Object.entries(of).flatMap(([to, from]) => from.split(' ').map((label) => [label, to] as const)));

/** The six of Ekman and neutral: Demszky et al. 2020, appendix, "mapping of emotion categories"; ours for optimism's opposite. */
const ekman = groups({
  anger: 'anger annoyance disapproval',
  disgust: 'disgust',
  fear: 'fear nervousness',
  joy: 'admiration amusement approval caring desire excitement gratitude joy love optimism pride relief',
  sadness: 'disappointment embarrassment grief pessimism remorse sadness',
  surprise: 'confusion curiosity realization surprise',
  neutral: 'neutral',
});

/** Whether an emotion is pleasant. Those that can be either (surprise, anticipation, confusion, …) are in no group. */
const valence = groups({
  negative:
    'anger annoyance disappointment disapproval disgust embarrassment fear grief nervousness pessimism remorse sadness',
  neutral: 'neutral',
  positive: 'admiration amusement approval caring excitement gratitude joy love optimism pride relief trust',
});

/** Five or seven grades of sentiment to three. */
const polarity = groups({ neutral: 'neutral', negative: 'negative', positive: 'positive' });
for (const degree of ['very', 'moderately', 'slightly'])
  for (const pole of ['negative', 'positive'])
    (polarity as Map<string, string>).set(`${degree} ${pole}`, pole);

/** Coarser sets that the labels of a set fall into: by label, and only where there are fewer. */
export function coarserSets(
  labelSet: readonly string[],
  sentiment: boolean,
): readonly ReadonlyMap<string, string>[] {
  return (sentiment ? [polarity] : [ekman, valence]).filter((coarse) => {
    const known = labelSet.filter((label) => coarse.has(label));
    const groupsOf = new Set(known.map((label) => coarse.get(label)));
    return groupsOf.size >= 2 && groupsOf.size < known.length;
  });
}
