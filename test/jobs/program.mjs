// Jobs in a process of their own, for tests that kill it:  node program.mjs OPTIONS [REQUEST]  (both as JSON); a line of stdout an event
import { FineTuningJobs } from 'saqr'

const [options, request] = process.argv.slice(2).map((text) => JSON.parse(text))
const jobs = await FineTuningJobs.open(options)
const { id } = request ? await jobs.create(request) : jobs.list().at(0)
process.stdout.write(`${id}\n`)
for await (const { message } of jobs.events(id)) process.stdout.write(`${message}\n`)
const { status } = jobs.retrieve(id)
process.stdout.write(`${status}\n`)
await jobs.close()
