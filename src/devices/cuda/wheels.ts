/**
 * NVIDIA's redistributable NVRTC and cuBLAS as PyPI has them, pinned: what `saqr doctor --install-cuda` fetches, and nothing else.
 *
 * Two releases. CUDA 13.0.2 is of the oldest drivers for CUDA 13 (R580). CUDA 12.8.1 is the oldest one that compiles for Blackwell; what it
 * compiles to machine code runs with every driver for CUDA 12 (R525 and later) that knows the card, by NVIDIA's minor-version compatibility.
 * Versions of a release's parts: PyPI's cuda-toolkit of that version. A newer release costs a new table and its check:
 * tools/cuda-wheels.ts asks PyPI whether every line still holds.
 */

export interface Wheel {
  /** on PyPI */
  package: string
  version: string
  file: string
  /** of the file, and of what is kept of it once it is unpacked */
  bytes: number
  kept: number
  sha256: string
}

export interface Release {
  /** of the CUDA toolkit */
  version: string
  /** drivers for this major version or a later one can use it */
  major: number
  /** by platform-architecture as Node names them */
  wheels: Readonly<Record<string, readonly Wheel[]>>
}

/** newest first */
export const RELEASES: readonly Release[] = [
  {
    version: '13.0.2',
    major: 13,
    wheels: {
      'linux-x64': [
        {
          package: 'nvidia-cuda-nvrtc',
          version: '13.0.88',
          file: 'nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
          bytes: 90_215_200,
          kept: 113_777_942,
          sha256: 'ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575',
        },
        {
          package: 'nvidia-cublas',
          version: '13.1.0.3',
          file: 'nvidia_cublas-13.1.0.3-py3-none-manylinux_2_27_x86_64.whl',
          bytes: 423_133_236,
          kept: 541_654_862,
          sha256: 'ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171',
        },
      ],
      'linux-arm64': [
        {
          package: 'nvidia-cuda-nvrtc',
          version: '13.0.88',
          file: 'nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl',
          bytes: 43_015_449,
          kept: 103_945_662,
          sha256: 'd27f20a0ca67a4bb34268a5e951033496c5b74870b868bacd046b1b8e0c3267b',
        },
        {
          package: 'nvidia-cublas',
          version: '13.1.0.3',
          file: 'nvidia_cublas-13.1.0.3-py3-none-manylinux_2_27_aarch64.whl',
          bytes: 542_851_226,
          kept: 629_988_830,
          sha256: 'c86fc7f7ae36d7528288c5d88098edcb7b02c633d262e7ddbb86b0ad91be5df2',
        },
      ],
      'win32-x64': [
        {
          package: 'nvidia-cuda-nvrtc',
          version: '13.0.88',
          file: 'nvidia_cuda_nvrtc-13.0.88-py3-none-win_amd64.whl',
          bytes: 76_807_835,
          kept: 95_495_614,
          sha256: '6bcd4e7f8e205cbe644f5a98f2f799bef9556fefc89dd786e79a16312ce49872',
        },
        {
          package: 'nvidia-cublas',
          version: '13.1.0.3',
          file: 'nvidia_cublas-13.1.0.3-py3-none-win_amd64.whl',
          bytes: 404_355_960,
          kept: 480_460_782,
          sha256: '2a3b94a37def342471c59fad7856caee4926809a72dd5270155d6a31b5b277be',
        },
      ],
    },
  },
  {
    version: '12.8.1',
    major: 12,
    wheels: {
      'linux-x64': [
        {
          package: 'nvidia-cuda-nvrtc-cu12',
          version: '12.8.93',
          file: 'nvidia_cuda_nvrtc_cu12-12.8.93-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
          bytes: 88_040_029,
          kept: 110_885_014,
          sha256: 'a7756528852ef889772a84c6cd89d41dfa74667e24cca16bb31f8f061e3e9994',
        },
        {
          package: 'nvidia-cublas-cu12',
          version: '12.8.4.1',
          file: 'nvidia_cublas_cu12-12.8.4.1-py3-none-manylinux_2_27_x86_64.whl',
          bytes: 594_346_921,
          kept: 751_830_990,
          sha256: '8ac4e771d5a348c551b2a426eda6193c19aa630236b418086020df5ba9667142',
        },
      ],
      'linux-arm64': [
        {
          package: 'nvidia-cuda-nvrtc-cu12',
          version: '12.8.93',
          file: 'nvidia_cuda_nvrtc_cu12-12.8.93-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl',
          bytes: 43_106_076,
          kept: 105_167_126,
          sha256: 'fc1fec1e1637854b4c0a65fb9a8346b51dd9ee69e61ebaccc82058441f15bce8',
        },
        {
          package: 'nvidia-cublas-cu12',
          version: '12.8.4.1',
          file: 'nvidia_cublas_cu12-12.8.4.1-py3-none-manylinux_2_27_aarch64.whl',
          bytes: 590_537_124,
          kept: 719_917_022,
          sha256: 'b86f6dd8935884615a0683b663891d43781b819ac4f2ba2b0c9604676af346d0',
        },
      ],
      'win32-x64': [
        {
          package: 'nvidia-cuda-nvrtc-cu12',
          version: '12.8.93',
          file: 'nvidia_cuda_nvrtc_cu12-12.8.93-py3-none-win_amd64.whl',
          bytes: 73_586_838,
          kept: 93_143_934,
          sha256: '7a4b6b2904850fe78e0bd179c4b655c404d4bb799ef03ddc60804247099ae909',
        },
        {
          package: 'nvidia-cublas-cu12',
          version: '12.8.4.1',
          file: 'nvidia_cublas_cu12-12.8.4.1-py3-none-win_amd64.whl',
          bytes: 567_544_208,
          kept: 674_726_782,
          sha256: '47e9b82132fa8d2b4944e708049229601448aaad7e6f296f630f2d1a32de35af',
        },
      ],
    },
  },
]
