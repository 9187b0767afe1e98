import { failed, streamed, unlessOfType } from '../../../lib/http.ts'
import { answer } from '../../../lib/training.ts'

/** What the model says, as it is written. Body: { model, prompt }. */
export async function POST(request: Request): Promise<Response> {
  const wrong = unlessOfType(request, 'application/json')
  if (wrong) return wrong
  try {
    const { model, prompt } = (await request.json().catch(() => ({}))) as { model?: unknown; prompt?: unknown }
    if (typeof model !== 'string' || typeof prompt !== 'string' || prompt === '' || prompt.length > 4000)
      return Response.json({ error: 'send model and prompt, a text of 1 to 4000 characters' }, { status: 400 })
    return await streamed(answer(model, prompt, request.signal), 'text/plain')
  } catch (error) {
    return failed(error)
  }
}
