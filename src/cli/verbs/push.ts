/** `saqr push`: a folder (or file) to a model repository on the Hub, as one commit. */
import { option, SaqrError, say } from '../../error.ts'
import { shownOf } from '../../hub/progress.ts'
import { pushFolder } from '../../hub/push.ts'
import { honoured } from '../../train/options/field.ts'
import { optionalFlag, optionalName, optionalTexts } from '../../train/options/schemas.ts'
import { defineVerb } from '../verb.ts'

const how = {
  private: honoured(
    optionalFlag,
    null,
    'of a repository that is made; default: as its owner’s settings say. One that is there stays as it is',
  ),
  revision: honoured(optionalName, null, 'branch, made from main where there is none; default: main'),
  commit_message: honoured(optionalName, null, 'first line of the commit; default: Upload NAME with saqr'),
  token: honoured(optionalName, null, 'access token that may write; default: HF_TOKEN, or what `hf auth login` keeps'),
  include: honoured(optionalTexts, null, 'patterns of paths below the folder that are uploaded alone, such as *.gguf'),
  exclude: honoured(
    optionalTexts,
    null,
    'patterns of paths that are not uploaded; checkpoints, what trackers keep, hidden files and failed exports never are',
  ),
}

export const push = defineVerb({
  name: 'push',
  summary: 'upload a model’s folder to the Hugging Face Hub, as one commit; what is there already is not sent',
  usage: 'FOLDER OWNER/NAME [options]',
  examples: ['saqr push out falconer/my-adapter --private', 'saqr push out-gguf falconer/my-model-gguf --revision v2'],
  fields: how,
  themes: [{ title: 'How', fields: how }],
  words: true,
  async run({ options: o, words, io }) {
    const [folder, repo, ...more] = words
    if (folder === undefined || repo === undefined || more.length > 0)
      throw new SaqrError(
        'OPTION_INVALID',
        more.length > 0
          ? say`saqr push takes a folder and a repository, and has no use for ${more[0]!}: patterns stand behind ${option('include')}, each option before the words`
          : 'saqr push takes a folder (or a file) and a repository: saqr push out owner/name',
      )
    const pushed = await pushFolder(folder, repo, {
      ...(o.private !== null && { private: o.private }),
      ...(o.revision !== null && { revision: o.revision }),
      ...(o.commitMessage !== null && { commitMessage: o.commitMessage }),
      ...(o.token !== null && { token: o.token }),
      ...(o.include !== null && { include: o.include }),
      ...(o.exclude !== null && { exclude: o.exclude }),
      signal: io.signal,
      ...shownOf(io.err, 'uploading'),
    })
    const { url, files, unchanged, commit } = pushed
    const there = unchanged.length > 0 ? `, ${unchanged.length} there already` : ''
    io.out.write(
      commit === null
        ? `${url}: all ${unchanged.length} files are there already\n`
        : `${url}: ${files.length} files${there}, commit ${commit}\n`,
    )
    return 0
  },
})
