/** Names of roles that data sets use, where everybody means the same by them, as chat templates know them. */

const meant: Record<string, string[]> = {
  user: ['user', 'human', 'prompter'],
  assistant: ['assistant', 'gpt', 'model', 'chatgpt', 'bing', 'bard', 'claude', 'bot', 'ai'],
  system: ['system', 'system_prompt'],
  tool: ['tool', 'observation', 'function_response', 'tool_response', 'function_result', 'tool_result'],
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
