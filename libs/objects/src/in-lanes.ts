import { Lanes } from '@emotune/base';

/**
 * What `work` makes of each, so many at a time. After a failure none is begun any more, and those that have begun are waited
 * for: nothing works on after this has ended.
 * @throws the first failure
 */
export async function inLanes<Item, Result>(
  count: number,
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const lanes = new Lanes(count);
  const failures: unknown[] = [];
  const results = await Promise.all(
    items.map((item) =>
      lanes.run(async () => {
        if (failures.length > 0) return undefined;
        try {
          return await work(item);
        } catch (error) {
          failures.push(error);
          return undefined;
        }
      }),
    ),
  );
  if (failures.length > 0) throw failures[0];
  return results as Result[];
}
