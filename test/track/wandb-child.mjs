// A run that logs two steps that are kept, says so, and goes on until it is killed: node --import tools/ts.mjs wandb-child.mjs OUT FROM
const { wandb } = await import('../../src/track/wandb/wandb.ts')
const { wandbSettings } = await import('../../src/track/wandb/settings.ts')
const { logOf, startOf } = await import('./start.ts')

const [out, from] = [process.argv[2], Number(process.argv[3])]
const tracker = wandb({
  settings: wandbSettings(process.env),
  name: null,
  pace: { interval: 0.002, retry: 0.01, slowest: 0.05, heartbeat: 1 },
})
tracker.start(startOf(out, { doneSteps: from }))
for (let step = from + 1; ; step++) {
  tracker.log(logOf(step, 2 / step))
  if (step === from + 2) process.stdout.write('kept\n')
  await new Promise((done) => setTimeout(done, 2))
}
