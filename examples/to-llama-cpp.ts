import { FastLanguageModel } from 'saqr'

const { model, tokenizer } = await FastLanguageModel.fromPretrained('falconer', { loadIn4bit: false })

const saved = await model.savePretrainedGguf('falconer-gguf', tokenizer, { quantizationMethod: ['q8_0', 'q4_k_m'] })
for (const { path, bytes, compared } of saved) console.log(path, bytes, compared?.kl)

await model.savePretrainedGguf('falconer-lora.gguf', tokenizer, { adapterOnly: true, quantizationMethod: 'f16' })

await model.dispose()
