/**
 * What MySQL and MariaDB do, for the dialects of both drivers: which errors end a session, and which statements set the
 * next transaction.
 */

/** ER_SERVER_SHUTDOWN, ER_FORCING_CLOSE. */
const shutdowns = new Set<unknown>([1053, 1080]);

/**
 * The server ends this session: ER_ABORTING_CONNECTION, ER_NEW_ABORTING_CONNECTION, ER_CONNECTION_KILLED (MariaDB),
 * ER_SESSION_WAS_KILLED (MySQL). Or it only reads, as after a failover: ER_READ_ONLY_MODE. Not 1317: it also comes of
 * KILL QUERY, which leaves the session.
 */
const singleEnds = new Set<unknown>([1152, 1184, 1927, 3169, 1836]);

/** ER_OPTION_PREVENTS_STATEMENT, which names the option: `--read-only`, or one that is no reason. */
const optionPrevents = 1290;

/** Returns whether the connection is of no use after this error; `true` if others may be, too. */
export function endOfSession(errno: unknown, message: unknown): boolean | "connection" {
  if (shutdowns.has(errno)) return true;
  const isAlone = singleEnds.has(errno) || (errno === optionPrevents && /read.only/i.test(String(message)));
  return isAlone && "connection";
}

/**
 * Statements that may set the isolation level or the access mode of the next transaction alone. No status says so, and
 * a ROLLBACK undoes it. Also in a comment, after one, or within a compound statement: a doubt costs a ROLLBACK. The
 * distance is bounded, since long texts may have many words "set".
 */
const setsNext =
  /\bset\b(?!\s+(?:session|global|local)\b)[^;]{0,200}?\btransaction\b|\b(?:tx|transaction)_(?:isolation|read_only)\b/i;

/** Statements that run what cannot be seen. */
const runsOthers = /(?:^|[^\w$.@`'"])(?:call|execute)(?![\w$])/i;

/** Whether the statement may set the next transaction alone. */
export const maySetNext = (statement: string): boolean => setsNext.test(statement) || runsOthers.test(statement);
