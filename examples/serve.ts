import OpenAI from 'openai'

const client = new OpenAI() // OPENAI_BASE_URL and OPENAI_API_KEY say where, and who asks
const stream = await client.chat.completions.create({
  model: 'falconer',
  messages: [{ role: 'user', content: 'What is a lure?' }],
  max_tokens: 40,
  temperature: 0,
  stream: true,
})
for await (const { choices } of stream) process.stdout.write(choices[0]?.delta.content ?? '')
process.stdout.write('\n')
