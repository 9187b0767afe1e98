/** Names of roles that data sets use, where everybody means the same by them, as chat templates know them. */
import { option, SaqrError, say } from '../error.ts'
import type { Message } from '../text/chat-template.ts'

const meant: Record<string, string[]> = {
  user: ['user', 'human', 'prompter'],
  assistant: ['assistant', 'gpt', 'model', 'chatgpt', 'bing', 'bard', 'claude', 'bot', 'ai'],
  system: ['system', 'system_prompt'],
  tool: ['tool', 'function', 'observation', 'function_response', 'tool_response', 'function_result', 'tool_result'],
  function_call: ['function_call', 'tool_call'],
}

const roles = new Map(Object.entries(meant).flatMap(([role, names]) => names.map((name) => [name, role])))

/** `GPT` and `gpt-4` are the assistant, `system prompt` is system; a name that is not known stays as it is, for the template to take or not. */
export function roleOf(name: string): string {
  const plain = name
    .trim()
    .toLowerCase()
    .replaceAll(/[\s-]+/g, '_')
  const known = roles.get(plain)
  if (known !== undefined) return known
  return /^(gpt|chatgpt|claude)_?\d[\w.]*$/.test(plain) ? 'assistant' : name
}

const everyone = ['system', 'user', 'assistant', 'tool']

/**
 * Messages whose roles the template can be asked for: those of every conversation, and those it names itself. `developer` is what newer
 * models call the system.
 * @throws SaqrError DATA_TEMPLATE: a role that only its writer knows
 */
export function knownRoles(messages: readonly Message[], where: string, named: (role: string) => boolean): Message[] {
  return messages.map((message, i) => {
    const { role } = message
    if (everyone.includes(role) || named(role)) return message
    if (role === 'developer') return { ...message, role: 'system' }
    throw new SaqrError(
      'DATA_TEMPLATE',
      say`${where}: message ${i + 1} has the role ${JSON.stringify(role)}, which the model's chat template does not know. Rename it to one of ${everyone.join(', ')}, or give a template that knows it (${option('chatTemplate')}).`,
    )
  })
}
