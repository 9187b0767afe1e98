import { failed, unlessOfType } from '../../../lib/http.ts'
import { startJob, training } from '../../../lib/training.ts'

/** Jobs, the newest first. */
export async function GET(): Promise<Response> {
  try {
    return Response.json((await training()).list())
  } catch (error) {
    return failed(error)
  }
}

/** A new job over the examples of the body, or over those that come with saqr. */
export async function POST(request: Request): Promise<Response> {
  const wrong = unlessOfType(request, 'application/jsonl')
  if (wrong) return wrong
  try {
    const rows = await request.blob()
    return Response.json({ id: await startJob(rows.size > 0 ? rows.stream() : null) }, { status: 201 })
  } catch (error) {
    return failed(error)
  }
}
