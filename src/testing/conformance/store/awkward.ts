/**
 * Names and texts on which stores have failed: as keys of objects, as paths, in collations and in SQL.
 */
export const awkwardNames: ReadonlyArray<string> = [
  "__proto__",
  "constructor",
  "a/b",
  "a",
  "A",
  "..",
  ".",
  "/",
  "\\",
  " ",
  " a",
  "a ",
  "0",
  "00",
  "null",
  "%",
  "_",
  "*",
  "?",
  "'; DROP TABLE inputs; --",
  "\"",
  "line\nbreak",
  "\u00e9",
  "e\u0301",
  "\u0130",
  "\ud83e\udd21",
  "\ufffd",
  "\uff41",
  "x".repeat(10_000)
]

export const awkwardText = `${
  awkwardNames.join(" ")
} \u0001\u001f\u007f\u2028\u2029\ufeff\ud83d\udc68\u200d\ud83d\udc69`
