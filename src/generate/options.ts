/** What `generate` takes, and what it knows of transformers' arguments. */
import { type Check, type Checks, flag, idle, kind, number, orNull, refused, signal, text, whole } from '../hub/arguments.ts'
import type { AskOptions, GenerateOptions } from './generate.ts'

type Foreign =
  | 'maxLength'
  | 'numBeams'
  | 'numReturnSequences'
  | 'repetitionPenalty'
  | 'noRepeatNgramSize'
  | 'minP'
  | 'typicalP'
  | 'minNewTokens'
  | 'eosTokenId'
  | 'padTokenId'
  | 'stopStrings'
  | 'streamer'
  | 'attentionMask'

const SAMPLING = 'not supported yet; temperature, topK and topP shape what is drawn'
const list: Check<readonly unknown[]> = kind('a list', Array.isArray)

export const ASK: Checks<GenerateOptions & AskOptions & Partial<Record<Foreign, undefined>>> = {
  maxNewTokens: whole(1),
  temperature: number('a number of at least 0', (n) => n >= 0),
  topK: whole(0),
  topP: number('a number above 0 and at most 1', (n) => n > 0 && n <= 1),
  doSample: flag,
  seed: whole(0),
  signal,
  chat: orNull(flag),
  system: orNull(text),
  tools: orNull(list),
  maxLength: refused('say how many tokens may come: maxNewTokens'),
  numBeams: refused('beams are not supported; leave it out', 1),
  numReturnSequences: refused('one answer comes at a time: call generate again, with another seed', 1),
  repetitionPenalty: refused(SAMPLING, 1),
  noRepeatNgramSize: refused(SAMPLING, 0),
  minP: refused(SAMPLING, 0),
  typicalP: refused(SAMPLING, 1),
  minNewTokens: refused('an answer ends where the model ends it', 0),
  eosTokenId: refused('a text ends where model and tokenizer say so: give eosToken to fromPretrained'),
  padTokenId: idle,
  stopStrings: refused('not supported yet; leave the loop over the pieces where the text is enough'),
  streamer: refused('generate gives the text piece by piece itself: for await (const piece of model.generate(…))'),
  useCache: idle,
  attentionMask: idle,
}
