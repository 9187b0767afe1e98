/** The losses of a run as an SVG file, written when it ends or is stopped; a resumed run's has those before it too. */
import { writeFileAtomic } from '../hub/files.ts'
import type { Point } from './curve.ts'
import { lossCurveSvg } from './svg.ts'
import type { Tracker } from './tracker.ts'

export function lossCurve(path: string): Tracker & { readonly drawn: boolean } {
  const train: Point[] = []
  const evaluation: Point[] = []
  let title = 'training loss'
  let drawn = false
  return {
    /** is there a file? not where nothing was logged */
    get drawn() {
      return drawn
    },
    start({ runName, history }) {
      title = `training loss, ${runName}`
      for (const { step, loss, eval_loss: scored } of history) {
        if (loss !== undefined) train.push({ x: step!, y: loss })
        if (scored !== undefined) evaluation.push({ x: step!, y: scored })
      }
    },
    log(event) {
      if (event.type === 'log') train.push({ x: event.step, y: event.loss })
      if (event.type === 'eval') evaluation.push({ x: event.step, y: event.evalLoss })
    },
    end() {
      if (train.length === 0) return
      writeFileAtomic(path, lossCurveSvg({ title, train, evaluation }))
      drawn = true
    },
  }
}
