import { failed, streamed } from '../../../../../lib/http.ts'
import { training } from '../../../../../lib/training.ts'

/** What happens to a job, from its first moment on, as server-sent events: `told` for each event, `ended` with the job. */
export async function GET(request: Request, { params }: { params: Promise<{ id: string }> }): Promise<Response> {
  try {
    const { id } = await params
    return await streamed(events(id, request.headers.get('last-event-id'), request.signal), 'text/event-stream')
  } catch (error) {
    return failed(error)
  }
}

/** @param last id of the last event that a browser has which lost its connection */
async function* events(id: string, last: string | null, signal: AbortSignal): AsyncGenerator<string> {
  const jobs = await training()
  let seen = last === null || !jobs.listEvents(id).some((event) => event.id === last)
  for await (const event of jobs.events(id, { signal })) {
    if (seen) yield `event: told\nid: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`
    seen ||= event.id === last
  }
  yield `event: ended\ndata: ${JSON.stringify(jobs.retrieve(id))}\n\n`
}
