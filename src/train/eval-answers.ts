/** What the model answers to the prompts of evalPrompts at each evaluation: events beside those of the run, which they don't change. */
import { type EvalPrompt, readEvalPrompts, shownPrompt } from '../data/eval-prompts.ts'
import { option, SaqrError, say } from '../error.ts'
import type { AnswersEvent, WarningEvent } from '../track/events.ts'
import { warning } from '../track/told.ts'
import type { Tracker } from '../track/tracker.ts'
import type { TrainableModel } from './options/trainer-types.ts'

/** tokens of an answer at the most */
const MOST = 256

/** What can't be answered (a prompt that is too long, keys and values that don't fit) is a warning: the run goes on. @throws SaqrError OPTION_INVALID for prompts that can't be read, or a model that can't be asked */
export function evalAnswers(path: string | null, model: TrainableModel, signal?: AbortSignal): Tracker[] {
  if (path === null) return []
  const prompts = readEvalPrompts(path)
  if (!model.generate)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('evalPrompts')}: the model given can’t be asked: give the one that FastLanguageModel gave`,
    )
  const ask = model.generate.bind(model)
  let told: (AnswersEvent | WarningEvent)[] = []
  return [
    {
      start() {},
      async log(event) {
        if (event.type !== 'eval' || signal?.aborted) return
        try {
          told = [{ type: 'answers', step: event.step, epoch: event.epoch, answers: await answered(prompts, ask, signal) }]
        } catch (error) {
          if (!(error instanceof SaqrError) || error.code.startsWith('DEVICE_')) throw error
          told = [warning(say`the prompts of ${option('evalPrompts')} are not answered at step ${event.step}: ${error.said}`)]
        }
      },
      end() {},
      news() {
        const now = told
        told = []
        return now
      },
    },
  ]
}

async function answered(prompts: readonly EvalPrompt[], ask: NonNullable<TrainableModel['generate']>, signal?: AbortSignal) {
  const answers = prompts.map((prompt) => ({ prompt: shownPrompt(prompt), answer: '', ending: 'stopped' }))
  try {
    // greedily, so that one evaluation can be held against another
    for await (const { index, text, ending } of ask(prompts, { maxNewTokens: MOST, doSample: false, signal })) {
      answers[index]!.answer += text
      if (ending) answers[index]!.ending = ending
    }
  } catch (error) {
    // the run itself sees that it is stopped, and saves
    if (!signal?.aborted) throw error
  }
  return answers
}
