/** Characters that Python takes for digits and numbers. */

/** Unicode: Numeric_Type=Digit */
const otherDigits = [
  String.raw`\u00b2\u00b3\u00b9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea`,
  String.raw`\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792\u{10a40}-\u{10a43}\u{10e60}-\u{10e68}\u{11052}-\u{1105a}`,
  String.raw`\u{1f100}-\u{1f10a}`,
].join('')

/** Unicode: numbers that are letters (Numeric_Value in Unihan) */
const ideographs = [
  String.raw`\u3405\u3483\u382a\u3b4d\u4e00\u4e03\u4e07\u4e09\u4e5d\u4e8c\u4e94\u4e96\u4ebf\u4ec0\u4edf\u4ee8\u4f0d\u4f70\u5104\u5146`,
  String.raw`\u5169\u516b\u516d\u5341\u5343-\u5345\u534c\u53c1-\u53c4\u56db\u58f1\u58f9\u5e7a\u5efe\u5eff\u5f0c-\u5f0e\u5f10\u62fe`,
  String.raw`\u634c\u67d2\u6f06\u7396\u767e\u8086\u842c\u8cae\u8cb3\u8d30\u9621\u9646\u964c\u9678\u96f6\uf96b\uf973\uf978\uf9b2\uf9d1`,
  String.raw`\uf9d3\uf9fd\u{20001}\u{20064}\u{200e2}\u{20121}\u{2092a}\u{20983}\u{2098c}\u{2099c}\u{20aea}\u{20afd}\u{20b19}\u{22390}`,
  String.raw`\u{22998}\u{23b1b}\u{2626d}\u{2f890}`,
].join('')

export const isDigit = new RegExp(String.raw`[\p{Nd}${otherDigits}]`, 'u')
export const isNumeric = new RegExp(String.raw`[\p{N}${ideographs}]`, 'u')

/** What int() and float() read: digits of every script as 0 to 9, without white space around (that of ASCII is C's, without U+001C to U+001F). */
export const numeral = (text: string): string =>
  text.replace(/^(?:(?!\ufeff)[\s\x85])+|(?:(?!\ufeff)[\s\x85])+$/g, '').replace(/\p{Nd}/gu, (c) => String(digitOf(c.codePointAt(0)!)))

/** Digits stand in runs of ten, from 0 on. */
function digitOf(code: number): number {
  let before = 0
  while (/\p{Nd}/u.test(String.fromCodePoint(code - before - 1))) before++
  return before % 10
}
