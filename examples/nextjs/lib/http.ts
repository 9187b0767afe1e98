/** What routes have in common. */
import { SaqrError } from 'saqr'

/** The answer to a request that failed: saqr's errors say what is wrong and what to do, and are the asker's to see; others are the server's. */
export function failed(error: unknown): Response {
  if (!(error instanceof SaqrError)) {
    console.error(error)
    return Response.json({ error: 'the server failed: its log says how' }, { status: 500 })
  }
  return Response.json({ error: error.message, code: error.code }, { status: error.code === 'JOB_NOT_FOUND' ? 404 : 400 })
}

/** Null where it is of that type. A page of another site can send none of these types without being allowed to, so it can start nothing here. */
export function unlessOfType(request: Request, type: string): Response | null {
  if (request.headers.get('content-type')?.split(';')[0]?.trim() === type) return null
  return Response.json({ error: `send the body as ${type}` }, { status: 415 })
}

/** A text as it comes; whoever goes away ends it. What fails before the first piece is thrown. */
export async function streamed(pieces: AsyncGenerator<string>, type: string): Promise<Response> {
  const encoder = new TextEncoder()
  let next = await pieces.next()
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (next.done) return controller.close()
      controller.enqueue(encoder.encode(next.value))
      next = await pieces.next()
    },
    async cancel() {
      await pieces.return(undefined)
    },
  })
  return new Response(body, { headers: { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' } })
}
