/** Configurations at the ends of a search space, by which it is judged before anything of it is trained. Pure. */
import { type Assignment, isActive, type SearchSpace } from '@emotune/search';

const mostCorners = 64;

/** Every choice of categories with one end of each range; none where there are too many. */
export function corners({ parameters }: SearchSpace, end: 'min' | 'max'): Assignment[] {
  let all: Assignment[] = [{}];
  for (const parameter of parameters) {
    const values = parameter.kind === 'categorical' ? parameter.values : [parameter[end]];
    if (all.length * values.length > mostCorners) return [];
    all = all.flatMap((chosen) =>
      isActive(parameter, chosen)
        ? values.map((value) => ({ ...chosen, [parameter.name]: value }))
        : [chosen],
    );
  }
  return all;
}
