/** What raters do: consent, take an item, judge it. Whoever calls is known by the ticket of a link. */
import { FailedPrecondition, InvalidArgument, ResourceExhausted, Unauthenticated } from '@emotune/base';
import type { Sql } from '@emotune/database';
import { evaluation } from '@emotune/proto';
import { once, type ServiceContext } from '@emotune/service';
import { type Answer, answerMessage, answerOf, sameAnswer } from './answers.js';
import type { Item } from './items.js';
import { type ItemState, isSwapped, nextItem, openRows } from './serving.js';
import { findStudy, type RaterRow, type StudyRow } from './store.js';
import { newTicket, questionMessage } from './studies.js';

const { StudyState } = evaluation;

/** What another rater has before them counts as judged for so long. */
const beforeThem = "interval '30 minutes'";

/** Who a link is for: a rater, or, of a study that is open to anybody, nobody yet. */
interface Guest {
  readonly study: StudyRow;
  readonly rater: RaterRow | undefined;
}

interface Given {
  readonly item: number;
  readonly answer: Answer | null;
  /** Null as long as it is not judged. */
  readonly judged_at: Date | null;
}

export class Raters {
  constructor(private readonly context: ServiceContext) {}

  /** @throws Unauthenticated where no study has such a link. */
  private async guest(sql: Sql, ticket: string): Promise<Guest> {
    const [rater] = await sql.query<RaterRow>('select * from study_raters where ticket = $1', [ticket]);
    if (rater) return { study: await findStudy(sql, rater.study), rater };
    const [study] = await sql.query<StudyRow>('select * from studies where ticket = $1', [ticket]);
    if (!study)
      throw new Unauthenticated(
        'expected the token of a link of a study, got another: the study may have been deleted; ask who sent you the link',
      );
    return { study, rater: undefined };
  }

  /**
   * The rater, whose row is locked: one thing at a time.
   * @throws FailedPrecondition before consent.
   */
  private async judging(sql: Sql, ticket: string): Promise<{ study: StudyRow; rater: RaterRow }> {
    const { study, rater } = await this.guest(sql, ticket);
    if (rater)
      await sql.query('select 1 from study_raters where study = $1 and number = $2 for update', [
        study.name,
        rater.number,
      ]);
    if (!rater || rater.consented_at === null)
      throw new FailedPrecondition(
        `study ${study.name}: expected consent before the first item (JoinStudy), got none`,
      );
    return { study, rater };
  }

  /** @throws FailedPrecondition */
  private expectOpen({ name, state }: StudyRow): void {
    if (state === StudyState.STUDY_STATE_OPEN) return;
    const why = state === StudyState.STUDY_STATE_DRAFT ? 'is not open yet' : 'is closed';
    throw new FailedPrecondition(`study ${name} ${why}: no judgements are taken`);
  }

  async invitation(ticket: string): Promise<evaluation.Invitation> {
    const { study, rater } = await this.guest(this.context.database, ticket);
    const { title, instructions, consent, language, revisable } = study.plan;
    return {
      ...{ study: study.name, title, instructions, consent, language, revisable },
      consented: (rater?.consented_at ?? null) !== null,
      open: study.state === StudyState.STUDY_STATE_OPEN,
      question: questionMessage(study.question),
      anybody: rater === undefined,
    };
  }

  /** The token to show from now on. @throws InvalidArgument without consent; ResourceExhausted where there are raters enough. */
  async join(
    { consent, requestId }: evaluation.JoinStudyRequest,
    ticket: string,
  ): Promise<evaluation.JoinStudyResponse> {
    const { database, raterToken } = this.context;
    if (!consent)
      throw InvalidArgument.at('consent', 'expected true from who has read what is consented to, got false');
    const own = await database.transaction(async (sql) => {
      const { study, rater } = await this.guest(sql, ticket);
      if (rater) {
        if (rater.consented_at === null) {
          this.expectOpen(study);
          await sql.query('update study_raters set consented_at = now() where ticket = $1', [ticket]);
        }
        return ticket;
      }
      const resource = await once(
        sql,
        { method: 'JoinStudy', id: requestId, body: { study: study.name } },
        async () => {
          this.expectOpen(study);
          return `${study.name}/${await this.newcomer(sql, study)}`;
        },
      );
      const number = Number(resource.slice(study.name.length + 1));
      const [{ ticket: fresh }] = await sql.query<RaterRow>(
        'select * from study_raters where study = $1 and number = $2',
        [study.name, number],
      );
      return fresh;
    });
    return { token: raterToken(own) };
  }

  private async newcomer(sql: Sql, { name, plan }: StudyRow): Promise<number> {
    const [{ last, newcomers }] = await sql.query<{ last: number; newcomers: number }>(
      `select coalesce(max(number), 0)::int as last, count(*) filter (where not invited)::int as newcomers
       from study_raters where study = $1`,
      [name],
    );
    if (newcomers >= plan.mostRaters)
      throw new ResourceExhausted(`study ${name} has as many raters as it takes (${plan.mostRaters})`);
    await sql.query(
      'insert into study_raters (study, number, name, invited, ticket, consented_at) values ($1, $2, $3, false, $4, now())',
      [name, last + 1, `rater-${last + 1}`, newTicket()],
    );
    return last + 1;
  }

  private given(sql: Sql, { study, number }: RaterRow): Promise<Given[]> {
    return sql.query<Given>(
      'select item, answer, judged_at from study_judgements where study = $1 and rater = $2 order by given_at, item',
      [study, number],
    );
  }

  /**
   * @throws FailedPrecondition before consent, while the study is not open, and for an item to judge again where that is not allowed.
   */
  async next(
    { item: asked }: evaluation.NextItemRequest,
    ticket: string,
  ): Promise<evaluation.NextItemResponse> {
    return this.context.database.transaction(async (sql) => {
      const { study, rater } = await this.judging(sql, ticket);
      this.expectOpen(study);
      const states = await sql.query<ItemState>(
        `select i.number, i.item->'right' <> 'null' as check,
           (count(j.rater) filter (where j.rater <> $2 and (j.answer is not null or j.given_at > now() - ${beforeThem})))::int as judgements
         from study_items i left join study_judgements j on j.study = i.study and j.item = i.number
         where i.study = $1 group by i.number, i.item order by i.number`,
        [study.name, rater.number],
      );
      const rows = await this.given(sql, rater);
      const given = new Map(rows.map(({ item, answer }) => [item, answer !== null]));
      const { seed, judgements: wanted, raters, anybody, mostRaters } = study.plan;
      const turn = {
        ...{ seed, wanted, rater: rater.number, given, items: states },
        raters: raters.length + (anybody ? mostRaters : 0),
      };
      const judged = rows.filter(({ answer }) => answer !== null).length;
      const number = asked === 0 ? nextItem(turn) : this.again(study, rows, asked);
      const checks = states.filter(({ check, number: of }) => check && !given.has(of)).length;
      const pending = rows.length - judged;
      const total = judged + pending + (number === undefined ? 0 : openRows(turn).length + checks);
      const latest = rows.reduce<Given | undefined>(
        (last, row) => (row.judged_at && !(last && last.judged_at! > row.judged_at) ? row : last),
        undefined,
      );
      const lastJudged = study.plan.revisable ? (latest?.item ?? 0) : 0;
      if (number === undefined) return { item: undefined, judged, total, lastJudged };
      // From now on, also where it was given before and left.
      await sql.query(
        `insert into study_judgements (study, item, rater) values ($1, $2, $3)
         on conflict (study, rater, item) do update set given_at = now() where study_judgements.answer is null`,
        [study.name, number, rater.number],
      );
      const [{ item }] = await sql.query<{ item: Item }>(
        'select item from study_items where study = $1 and number = $2',
        [study.name, number],
      );
      const swapped = item.answers !== null && isSwapped(seed, rater.number, number);
      const answer = rows.find((row) => row.item === number)?.answer ?? undefined;
      return {
        item: {
          item: number,
          text: item.text,
          language: item.language,
          emotion: item.emotion ?? '',
          asked: item.asked,
          answers: item.answers === null ? [] : swapped ? [...item.answers].reverse() : [...item.answers],
          answer: answer && answerMessage(answer, swapped),
        },
        judged,
        total,
        lastJudged,
      };
    }, 'read committed');
  }

  private again({ name, plan }: StudyRow, rows: readonly Given[], item: number): number {
    if (!plan.revisable)
      throw new FailedPrecondition(`study ${name} lets no judgement be changed: ask for the next item`);
    if (!rows.some((row) => row.item === item))
      throw new FailedPrecondition(`item ${item} of study ${name} was not given to you`);
    return item;
  }

  /**
   * @throws InvalidArgument for what is no answer; FailedPrecondition for an item that was not given, for another judgement where none
   *   may be changed, and while the study is not open.
   */
  async judge(
    { item: number, answer: given }: evaluation.JudgeRequest,
    ticket: string,
  ): Promise<evaluation.JudgeResponse> {
    return this.context.database.transaction(async (sql) => {
      const { study, rater } = await this.judging(sql, ticket);
      const { name, question, plan } = study;
      const rows = await this.given(sql, rater);
      const row = rows.find(({ item }) => item === number);
      if (!row)
        throw new FailedPrecondition(
          `item ${number} of study ${name} was not given to you: ask for the next item (NextItem)`,
        );
      const swapped = question.kind === 'comparison' && isSwapped(plan.seed, rater.number, number);
      const answer = answerOf(given, question, swapped);
      const judged = rows.filter(({ answer: of }) => of !== null).length;
      // Sent twice, it counts once; also when the study was closed in between.
      if (row.answer !== null && sameAnswer(row.answer, answer)) return { judged };
      this.expectOpen(study);
      const place = [name, rater.number, number];
      if (row.answer === null) {
        await sql.query(
          `update study_judgements set answer = $4, judged_at = now(), seconds = greatest(0, extract(epoch from now() - given_at))
           where study = $1 and rater = $2 and item = $3`,
          [...place, JSON.stringify(answer)],
        );
        return { judged: judged + 1 };
      }
      if (!plan.revisable)
        throw new FailedPrecondition(
          `item ${number} of study ${name} is judged already, otherwise than now: this study lets no judgement be changed`,
        );
      await sql.query(
        `update study_judgements set answer = $4, judged_at = now(), earlier = earlier || jsonb_build_array(answer)
         where study = $1 and rater = $2 and item = $3`,
        [...place, JSON.stringify(answer)],
      );
      return { judged };
    }, 'read committed');
  }
}
