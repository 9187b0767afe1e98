/** The checkpoint's weights as they are, frozen; its linears quantised to NF4 on request (QLoRA's base). */
import { option, SaqrError, say } from '../error.ts'
import { nf4Blocksize } from '../formats/nf4.ts'
import type { ExpertsShape, LinearShape } from '../models/trace.ts'
import type { DType, Tensor } from '../ops/tensor.ts'
import type { AdapterBuilder, Role } from './adapter.ts'
import { Direct, expertsMatrix } from './direct.ts'

export interface BaseOptions {
  /** 4-bit NormalFloat (Dettmers et al. 2023) for every linear except the head, as bitsandbytes does, and for experts; routers stay as they are */
  nf4: boolean
  /** the module that bitsandbytes leaves alone */
  head: string
  /** path of the embedding whose weight the head reads */
  tiedTo?: string
  /** weights that are held as the files have them, in GGUF's blocks; default: none is */
  inBlocks?: (name: string) => DType | undefined
  /** experts whose codes a file has the other way round than the model (`CheckpointTensor.across`); default: none */
  across?: (name: string) => boolean
}

export class Base extends Direct {
  readonly label = 'nothing'
  readonly options: BaseOptions

  constructor(options: BaseOptions) {
    super()
    this.options = options
  }

  tensor(b: AdapterBuilder, name: string, rows: number, cols: number, role: Role): Tensor {
    return b.weight(name, rows, cols, role === 'linear' || role === 'embedding' ? this.options.inBlocks?.(name) : undefined)
  }

  override linearWeight(b: AdapterBuilder, path: string, shape: LinearShape): Tensor {
    const quantised = this.options.nf4 && path !== this.options.head
    return quantised ? b.weight(`${path}.weight`, shape.out, shape.in, 'nf4') : super.linearWeight(b, path, shape)
  }

  override asTheyLie(name: string, shape: ExpertsShape): ExpertsShape {
    return this.liesAcross(name) ? { ...shape, turned: !shape.turned } : shape
  }

  liesAcross(name: string): boolean {
    return this.options.nf4 && (this.options.across?.(name) ?? false)
  }

  /** experts too, whose tensor bitsandbytes leaves as it is. @throws SaqrError MODEL_UNSUPPORTED where an expert isn't whole blocks */
  override expertsWeight(b: AdapterBuilder, name: string, shape: ExpertsShape): Tensor {
    if (!this.options.nf4) return super.expertsWeight(b, name, shape)
    if ((shape.out * shape.in) % nf4Blocksize)
      throw new SaqrError(
        'MODEL_UNSUPPORTED',
        say`${name}: experts of ${shape.out} × ${shape.in} are not whole blocks of ${nf4Blocksize}, which ${option('loadIn4bit')} quantises: leave it out`,
      )
    const { rows, cols } = expertsMatrix(shape)
    return b.weight(name, rows, cols, 'nf4')
  }

  merge(): null {
    return null
  }
}
