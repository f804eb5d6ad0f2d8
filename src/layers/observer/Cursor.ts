/**
 * One number for a place among events and their messages. Event n is n; its i-th message is n + (i + 1) * STEP. A double
 * below 2^33 has room for 20 binary digits behind the point.
 */

const STEP = 2 ** -20

/** Messages of one event that have a cursor of their own. A boundary's limits are far below. */
export const MESSAGES_MAX = 2 ** 20 - 2

/** What callers hand in: nothing that is no number reaches a store. */
export const from = (after: number): number => after > 0 ? Math.min(after, Number.MAX_SAFE_INTEGER) : 0

export const eventOf = (cursor: number): number => Math.floor(cursor)

/** How many messages of its event lie before the cursor, or at it. */
export const messagesBefore = (cursor: number): number => Math.floor((cursor - eventOf(cursor)) / STEP)

export const ofMessage = (event: number, index: number): number => event + (index + 1) * STEP

/** Behind all messages that the event may have, and before the next event. */
export const endOf = (event: number): number => event + 1 - STEP
