import { failed, unlessOfType } from '../../../../../lib/http.ts'
import { training } from '../../../../../lib/training.ts'

export async function POST(request: Request, { params }: { params: Promise<{ id: string }> }): Promise<Response> {
  const wrong = unlessOfType(request, 'application/json')
  if (wrong) return wrong
  try {
    return Response.json(await (await training()).cancel((await params).id))
  } catch (error) {
    return failed(error)
  }
}
