import { describe, expect, it } from 'vitest';
import { textKey } from './text-key.js';

const distinct = (texts: readonly string[]) => new Set(texts.map(textKey)).size;

describe('texts are one', () => {
  it.each([
    ['white space', 'tea  at\u00a0six\n', ' tea at six'],
    ['white space beside punctuation', 'Well , we are off ! :)', 'Well, we are off! :)'],
    ['composition', 'cafe\u0301', 'café'],
    ['width and ligatures', 'ﬁne　ｄａｙ', 'fine day'],
    ['character references', 'salt &amp; pepper &lt;3 &#39;now&#x27;', "salt & pepper <3 'now'"],
    ['typographic quotes', "“It’s” ``late''", '"It\'s" "late"'],
    ['dashes and ellipses', 'so — well… 3–4', 'so -- well... 3-4'],
    ['unseen characters', '\ufeffsoft\u00adly\u200b now', 'softly now'],
    ['how an emoji is presented', 'I \u2764\ufe0f tea', 'I \u2764 tea'],
    ['a capital at the beginning', 'Off we go, Anna', 'off we go, anna'],
    ['the full stop at the end', 'Off we go.', 'Off we go'],
  ])('that differ in %s', (_, one, other) => {
    expect(textKey(one)).toBe(textKey(other));
  });
});

describe('texts differ', () => {
  it.each([
    ['emoticons', ['tea :)', 'tea :(', 'tea :D', 'tea :P', 'tea ;)', 'tea </3', 'tea <3', 'tea']],
    ['emoticons alone', [':)', ':(', ":'(", ':-/', 'D:', ':D', '^^', '-_-', '(:', 'T_T', ':3', '\\o/']],
    ['emoji', ['tea 🙂', 'tea 🙁', 'tea 🙂🙂', 'tea']],
    ['skin tones and joined emoji', ['👍', '👍🏽', '👍🏿', '❤️‍🔥', '❤️🔥', '👩‍❤️‍👨', '👩👨']],
    ['repeated punctuation', ['tea!', 'tea!!', 'tea!!!', 'tea?', 'tea?!', 'tea??', 'tea...', 'tea']],
    ['capitals of whole words', ['so GOOD', 'SO good', 'so good', 'SO GOOD']],
    ['negation', ["I don't mind", 'I do mind', 'I mind', 'I not mind', 'not able', 'notable']],
    ['drawn-out words', ['so good', 'sooo good', 'soooo good']],
    ['who is spoken to', ['@anna thanks', '@bert thanks', '#thanks', 'thanks']],
  ])('in %s', (_, texts) => {
    expect(distinct(texts)).toBe(texts.length);
  });
});
