'use client'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import type { FineTuningJob, FineTuningJobEvent } from 'saqr' // types alone: nothing of saqr reaches the browser

const errorOf = async (answer: Response) => ((await answer.json()) as { error: string }).error

export default function Page() {
  const [job, setJob] = useState<string>()
  const [events, setEvents] = useState<FineTuningJobEvent[]>([])
  const [ended, setEnded] = useState<FineTuningJob>()
  const [error, setError] = useState('')
  const [answer, setAnswer] = useState('')
  const rows = useRef<HTMLInputElement>(null)

  useEffect(() => {
    if (job === undefined) return
    const source = new EventSource(`/api/jobs/${job}/events`) // connects again by itself, and goes on where it was
    source.addEventListener('told', ({ data }) => setEvents((before) => [...before, JSON.parse(data)]))
    source.addEventListener('ended', ({ data }) => {
      setEnded(JSON.parse(data))
      source.close()
    })
    return () => source.close()
  }, [job])

  async function train(event: FormEvent) {
    event.preventDefault()
    setError('')
    const headers = { 'content-type': 'application/jsonl' }
    const response = await fetch('/api/jobs', { method: 'POST', headers, body: rows.current?.files?.[0] ?? '' })
    if (!response.ok) return setError(await errorOf(response))
    setEvents([])
    setEnded(undefined)
    setAnswer('')
    setJob(((await response.json()) as { id: string }).id)
  }

  async function ask(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    setError('')
    setAnswer('')
    // the rows' prompts end with a line's end
    const prompt = `${new FormData(event.currentTarget).get('prompt')}\n`
    const body = JSON.stringify({ model: ended!.fine_tuned_model, prompt })
    const response = await fetch('/api/answers', { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    if (!response.ok) return setError(await errorOf(response))
    const decoder = new TextDecoder()
    const reader = response.body!.getReader()
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const piece = decoder.decode(next.value, { stream: true })
      setAnswer((before) => before + piece)
    }
  }

  const cancel = () => fetch(`/api/jobs/${job}/cancel`, { method: 'POST', headers: { 'content-type': 'application/json' } })

  const metrics = events.flatMap(({ type, data }) => (type === 'metrics' && data.train_loss !== undefined ? [data] : []))
  const last = metrics.at(-1)
  const highest = Math.max(...metrics.map(({ train_loss }) => train_loss!))
  const points = metrics.map(({ step, train_loss, total_steps }) => `${(100 * step!) / total_steps!},${40 - (38 * train_loss!) / highest}`)

  return (
    <main>
      <h1>Trained here</h1>
      <form onSubmit={train}>
        <input ref={rows} type="file" accept=".jsonl" aria-label="Examples, a line of JSON each" />
        <button type="submit" disabled={job !== undefined && !ended}>
          Train
        </button>
        {job !== undefined && !ended && (
          <button type="button" onClick={cancel}>
            Cancel
          </button>
        )}
      </form>
      {error && <p className="error">{error}</p>}
      {job !== undefined && (
        <section>
          <progress value={last?.step ?? 0} max={last?.total_steps ?? 1} />
          <p id="status">
            {ended?.status ?? (last ? `step ${last.step} of ${last.total_steps}, loss ${last.train_loss!.toFixed(3)}` : 'starting')}
          </p>
          <svg viewBox="0 0 100 40" preserveAspectRatio="none" role="img" aria-label="loss of each step">
            <polyline points={points.join(' ')} />
          </svg>
          <pre>
            {events
              .filter(({ type }) => type === 'message')
              .map(({ message }) => message)
              .join('\n')}
          </pre>
          {ended?.error && <p className="error">{ended.error.message}</p>}
        </section>
      )}
      {ended?.status === 'succeeded' && (
        <form onSubmit={ask}>
          <input type="text" name="prompt" defaultValue="Julia ordered 30 golden mirrors to Oslo for Saturday." aria-label="Question" />
          <button type="submit">Ask</button>
        </form>
      )}
      {answer && <pre id="answer">{answer}</pre>}
    </main>
  )
}
