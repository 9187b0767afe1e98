/** What a line that holds nothing is made of, whoever reads it: JSON's white space. */

const BLANKS = new Set([' ', '\t', '\n', '\r'].map((c) => c.charCodeAt(0)))

/** of a byte of UTF-8, or a UTF-16 unit */
export const isInk = (code: number): boolean => !BLANKS.has(code)

export const isBlankLine = (line: string): boolean => /^[ \t\n\r]*$/.test(line)
