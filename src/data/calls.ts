/** Calls of functions as an assistant's `tool_calls`: as a list, as JSON, or as OpenAI and ShareGPT had them before. */
import { SaqrError } from '../error.ts'
import { isObject } from '../formats/json.ts'
import { withKeys } from '../formats/json-exact.ts'
import { bad, isMissing, shown, unpacked } from './cells.ts'

/** Null where there are none. @throws SaqrError DATA_ROW, FORMAT_JSON */
export function callsOf(message: Readonly<Record<string, unknown>>, at: string, where: string): readonly unknown[] | null {
  const listed = unpacked(message.tool_calls, `${where}: ${at}.tool_calls`)
  if (listed !== null && !Array.isArray(listed)) throw bad(where, `${at}.tool_calls must be a list of calls, it is ${shown(listed)}`)
  const wrong = listed?.findIndex((call) => !isObject(call)) ?? -1
  if (wrong !== -1) throw bad(where, `${at}.tool_calls[${wrong}] must be an object, it is ${shown(listed![wrong])}`)
  const calls = listed?.length ? listed : null
  if (isMissing(message.function_call)) return calls
  if (calls) throw bad(where, `${at} has both tool_calls and function_call, which is the older name of the same`)
  return functionCalls(message.function_call, `${at}.function_call`, where)
}

/** a call, or a list of calls, also as JSON */
export function functionCalls(given: unknown, at: string, where: string): readonly unknown[] {
  const call = unpacked(given, `${where}: ${at}`)
  const calls = Array.isArray(call) ? call : [call]
  const wrong = calls.find((one) => !isObject(one) || typeof one.name !== 'string')
  if (wrong !== undefined || calls.length === 0)
    throw bad(where, `${at} must be a function call like {"name": …, "arguments": {…}}, it is ${shown(wrong)}`)
  return calls.map((call) => ({ type: 'function', function: withArguments(call, `${where}: ${at}.arguments`) }))
}

/** OpenAI writes the arguments as a text of JSON, which many templates would quote once more; a text that is no JSON stays. */
function withArguments(call: Record<string, unknown>, where: string): Record<string, unknown> {
  try {
    const given = unpacked(call.arguments, where)
    return isObject(given) && given !== call.arguments ? withKeys(call, { arguments: given }) : call
  } catch (error) {
    if (error instanceof SaqrError) return call
    throw error
  }
}
