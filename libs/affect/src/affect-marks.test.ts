import { describe, expect, it } from 'vitest';
import { affectiveText } from './affect-marks.js';

const marksOf = (text: string) => affectiveText(text).marks;

describe('texts whose marks differ', () => {
  it.each([
    ['emoticons', 'the tea came late again :)', 'the tea came late again :('],
    ['emoticons with letters', 'the tea came late again :D', 'the tea came late again :P'],
    ['emoticons behind a word', 'the tea came late:)', 'the tea came late:('],
    ['emoticons that begin with a bracket', 'the tea came late (:', 'the tea came late ):'],
    ['emoji', 'the tea came late 🙂', 'the tea came late 🙁'],
    ['skin tones', 'off to the office 👍🏽', 'off to the office 👍🏿'],
    ['an emoji more', 'the tea came late 🙂', 'the tea came late'],
    ['negation', 'that was a good plan', 'that was not a good plan'],
    ['contracted negation', 'they do like the plan', "they don't like the plan"],
    ['where the negation stands', 'I do not say they were there', 'I say they were not there'],
    ['German negation', 'der Plan war gut gemacht', 'der Plan war nicht gut gemacht'],
    ['French negation', 'le plan est prêt', "le plan n'est pas prêt"],
    ['Russian negation', 'план готов', 'план не готов'],
    ['Chinese negation', '这个计划很好', '这个计划不好'],
    ['words of the lexicon', 'I love how the tea was made', 'I hate how the tea was made'],
    ['intensifiers', 'the tea was very cold', 'the tea was slightly cold'],
    ['capitals', 'they came HERE at noon', 'they came here at noon'],
    ['numbers', 'the plan gets 9 of 10 from me', 'the plan gets 2 of 10 from me'],
    ['exclamation marks', 'they came here at noon!', 'they came here at noon'],
    ['questions', 'they came here at noon?', 'they came here at noon.'],
    ['trailing dots', 'they came here...', 'they came here.'],
    ['hashtags', 'at the office #blessed', 'at the office #mondays'],
    ['who is spoken to', '@anna they came', '@bert they came'],
  ])('in %s', (_, one, other) => {
    expect(marksOf(one)).not.toBe(marksOf(other));
  });
});

describe('texts whose marks are the same', () => {
  it.each([
    ['a word more', 'they came here at noon', 'they came back here at noon'],
    ['another plain word', 'they came here at noon', 'they went here at noon'],
    ['quotes and commas', '“They came,” she said (at noon).', 'They came she said at noon'],
    ['a capital at the beginning', 'They came here', 'they came here'],
    ['a typographic apostrophe', "it's here", 'it’s here'],
  ])('%s', (_, one, other) => {
    expect(marksOf(one)).toBe(marksOf(other));
  });
});
