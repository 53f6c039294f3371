import { type Task, tasks } from '@emotune/affect';
import { InvalidArgument } from '@emotune/base';
import { parseConfig } from '@emotune/models';
import { describe, expect, it } from 'vitest';
import { checkRows, validationRows } from './feature-rows.js';
import { featureRow } from './testing.js';

const rows = (task: Task, count: number) =>
  Array.from({ length: count }, (_, i) => featureRow(`${task}-${i}`, task, [1, 2, 3, 4]));

describe('validationRows', () => {
  it('spreads over the subtasks, and gives to others what one does not have', () => {
    const all = [...rows(tasks[0], 100), ...rows(tasks[1], 3), ...rows(tasks[3], 50)];
    const chosen = validationRows(all, 43);
    const count = (task: Task) => chosen.filter((row) => row.task === task).length;
    expect(tasks.map(count)).toEqual([20, 3, 0, 20]);
    expect(validationRows(all, 43)).toEqual(chosen);
    expect(validationRows(all, 1000)).toHaveLength(153);
    expect(chosen.filter(({ task }) => task === tasks[0])).not.toEqual(all.slice(0, 20));
  });
});

describe('checkRows', () => {
  const config = parseConfig({
    model_type: 'opt',
    vocab_size: 8,
    hidden_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    ffn_dim: 8,
    max_position_embeddings: 4,
    bos_token_id: 0,
    eos_token_id: 1,
    pad_token_id: 2,
  });

  it('names the rows that the model cannot read', () => {
    checkRows(rows(tasks[0], 3), config);
    const bad = [
      featureRow('other', tasks[0], [1, 2, 8]),
      featureRow('long', tasks[0], [1, 2, 3, 4, 5]),
      featureRow('silent', tasks[0], [1, 2], 2),
    ];
    const refused = (() => {
      try {
        checkRows(bad, config);
      } catch (error) {
        return error as InvalidArgument;
      }
      return undefined;
    })();
    expect(refused).toBeInstanceOf(InvalidArgument);
    expect(refused!.violations.map(({ field }) => field)).toEqual([
      'features.other.tokens',
      'features.long.tokens',
      'features.silent.answerMask',
    ]);
    expect(refused!.message).toContain("expected tokens below 8, the model's vocabulary, got 8");
  });
});
