/** What `generate` takes, and what it knows of transformers' arguments. */
import { option, SaqrError, say } from '../error.ts'
import {
  as,
  beside,
  type Check,
  type Checks,
  either,
  flag,
  idle,
  kind,
  number,
  orNull,
  refused,
  signal,
  text,
  Unfit,
  whole,
} from '../hub/arguments.ts'
import type { Need } from '../hub/need.ts'
import type { ChatSettings } from './chat.ts'
import type { AskOptions, GenerateOptions } from './generate.ts'

type Foreign =
  | 'maxLength'
  | 'numBeams'
  | 'numReturnSequences'
  | 'noRepeatNgramSize'
  | 'typicalP'
  | 'minNewTokens'
  | 'eosTokenId'
  | 'padTokenId'
  | 'streamer'
  | 'attentionMask'

const SAMPLING = 'not supported; temperature, topK, topP, minP and penalties shape what is drawn'
const stopString: Check<string> = kind('a text that is not empty', (v) => typeof v === 'string' && v !== '')
const list: Check<readonly unknown[]> = kind('a list', Array.isArray)

/** At temperature 0 they mean what their limit is, the likeliest token: where it is given, they are no mistake. */
const DRAWN: Need = {
  met: (o) => o.temperature !== undefined || o.doSample === true,
  unless: say`without ${option('temperature')} or ${option('doSample')}`,
  otherwise: 'the likeliest token is always taken; give one of these, or leave it out',
}

/** so many tokens are told of instead of one: it says nothing by itself */
const LOGGED: Need = { met: (o) => o.logprobs === true, unless: say`without ${option('logprobs')}` }

export const ASK: Checks<GenerateOptions & AskOptions & Partial<Record<Foreign, undefined>>> = {
  maxNewTokens: whole(1),
  temperature: number('a number of at least 0', (n) => n >= 0),
  topK: beside(DRAWN, whole(0), 0),
  topP: beside(
    DRAWN,
    number('a number from 0 to 1', (n) => n >= 0 && n <= 1),
    1,
  ),
  minP: beside(
    DRAWN,
    number('a number from 0 to 1', (n) => n >= 0 && n <= 1),
    0,
  ),
  repetitionPenalty: number('a number above 0', (n) => n > 0),
  presencePenalty: number('a number from -2 to 2', (n) => Math.abs(n) <= 2),
  frequencyPenalty: number('a number from -2 to 2', (n) => Math.abs(n) <= 2),
  stopStrings: either(
    as(stopString, (one) => [one]),
    kind('a list of texts that are not empty', (v) => Array.isArray(v) && v.every((one) => typeof one === 'string' && one !== '')),
  ),
  logprobs: flag,
  topLogprobs: beside(LOGGED, whole(0), 0),
  doSample: flag,
  seed: beside(DRAWN, whole(0)),
  signal,
  chat: orNull(flag),
  system: orNull(text),
  tools: orNull(list),
  maxLength: refused('say how many tokens may come: maxNewTokens'),
  numBeams: refused('beams are not supported; leave it out', 1),
  numReturnSequences: refused('a prompt has one answer: ask again with another seed, or with a list of prompts', 1),
  noRepeatNgramSize: refused(SAMPLING, 0),
  typicalP: refused(SAMPLING, 1),
  minNewTokens: refused('an answer ends where the model ends it', 0),
  eosTokenId: refused('a text ends where model and tokenizer say so: give eosToken to fromPretrained'),
  padTokenId: idle,
  streamer: refused('generate gives the text piece by piece itself: for await (const piece of model.generate(…))'),
  adapter: flag,
  useCache: idle,
  attentionMask: idle,
}

/** At which temperature tokens are drawn. @throws SaqrError OPTION_INVALID where doSample says the opposite */
export function temperatureOf({ doSample, temperature }: Pick<GenerateOptions & AskOptions, 'doSample' | 'temperature'>): number {
  if (doSample === undefined || temperature === undefined || doSample === temperature > 0) return temperature ?? (doSample ? 1 : 0)
  throw new SaqrError(
    'OPTION_INVALID',
    say`${option('doSample')} ${doSample} contradicts ${option('temperature')} ${temperature}, at which ${doSample ? 'nothing is' : 'tokens are'} drawn; leave one of them out`,
  )
}

/** What `chat` takes: the options of its answers. */
export const CHAT: Checks<ChatSettings & Partial<Record<Foreign | 'chat' | 'signal' | 'logprobs' | 'topLogprobs', undefined>>> = {
  ...ASK,
  chat: {
    what: 'true',
    take: (v) => (v === true || v === null ? undefined : new Unfit('messages always go into the chat template; leave it out')),
  },
  signal: refused('each answer has its own: chat.send(message, signal)'),
  logprobs: refused('answers come as text; ask with generate([messages], { logprobs: true })'),
  topLogprobs: refused('answers come as text; ask with generate([messages], { logprobs: true })', 0),
}
