/**
 * What the errors of MySQL and MariaDB say of a session, by their numbers: for the dialects of both drivers.
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
