// What may follow what. The server decides (server/src/domain/status.rs); this only
// says beforehand what it will say.

export type Demand = 'nothing' | 'reason' | 'question';
export interface Move {
  to: string;
  demand: Demand;
  key: string;
}

const review = (demand: Demand): Move => ({ to: 'in_review', demand, key: 'r' });
const ask: Move = { to: 'needs_info', demand: 'question', key: 'q' };

export const MOVES: Record<string, Move[]> = {
  received: [review('nothing')],
  reopened: [review('nothing')],
  in_review: [
    { to: 'verified', demand: 'nothing', key: 'v' },
    { to: 'not_verified', demand: 'reason', key: 'n' },
    { to: 'dismissed', demand: 'reason', key: 'd' },
    ask,
  ],
  needs_info: [review('nothing'), ask],
  verified: [review('reason')],
  not_verified: [review('reason')],
  dismissed: [review('reason')],
};
