import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { defineConfig } from 'vitepress'

const api = join(import.meta.dirname, '../pages/api')

/** A kind of export and its pages, as TypeDoc laid them. */
const exported = (text: string, folder: string) => ({
  text,
  collapsed: true,
  items: readdirSync(join(api, folder))
    .map((file) => basename(file, '.md'))
    .sort()
    .map((name) => ({ text: name, link: `/api/${folder}/${name}` })),
})

/** a falcon's wing, stooping */
const MARK =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#a36d1c" d="M3 5c9 0 15 4 17 11l9-3c-2 4-4 6-8 7-1 4-4 7-9 8 2-3 2-5 1-7C8 20 4 14 3 5z"/></svg>'

const page = (text: string, link: string) => ({ text, link })

const sidebar = [
  {
    text: 'Guides',
    items: [
      page('The first fine-tune', '/guides/first-fine-tune'),
      page('Conversations', '/guides/chat-data'),
      page('QLoRA in 8 GB', '/guides/qlora-8gb'),
      page('Preferences: DPO', '/guides/dpo'),
      page('Continued pre-training', '/guides/continued-pretraining'),
      page('Mixtures of experts', '/guides/mixtures'),
      page('To llama.cpp', '/guides/to-llama-cpp'),
      page('Served over HTTP', '/guides/serve'),
      page('Resume', '/guides/resume'),
    ],
  },
  { text: 'In a program', items: [page('Next.js', '/in-nextjs'), page('Electron', '/in-electron')] },
  {
    text: 'Coming from',
    items: [page('Unsloth', '/guides/from-unsloth'), page('TRL', '/guides/from-trl'), page('OpenAI’s fine-tuning', '/guides/from-openai')],
  },
  {
    text: 'To look up',
    items: [
      page('Options', '/options'),
      page('Options of preferences', '/options-preferences'),
      page('Families', '/families'),
      page('Doors', '/doors'),
      page('Export', '/export'),
      page('Serve', '/serve'),
      page('Trackers', '/trackers'),
    ],
  },
  {
    text: 'API',
    items: [
      page('All exports', '/api/'),
      exported('Functions', 'functions'),
      exported('Classes', 'classes'),
      exported('Values', 'variables'),
      exported('Interfaces', 'interfaces'),
      exported('Types', 'type-aliases'),
    ],
  },
  {
    text: 'Building saqr',
    collapsed: true,
    items: [
      page('Design', '/design'),
      page('Adding a family', '/adding-a-family'),
      page('Adding an op', '/adding-an-op'),
      page('Contributing', '/contributing'),
      page('Oracles', '/oracles'),
    ],
  },
]

export default defineConfig({
  title: 'saqr',
  description: 'Fine-tune large language models from TypeScript',
  srcDir: 'pages',
  outDir: 'dist',
  cacheDir: '.cache',
  lastUpdated: false,
  head: [['link', { rel: 'icon', href: `data:image/svg+xml,${encodeURIComponent(MARK)}` }]],
  markdown: { theme: { light: 'github-light', dark: 'github-dark' }, languageAlias: { jsonl: 'json' } },
  locales: {
    root: { label: 'English', lang: 'en' },
    ar: {
      label: 'العربية',
      lang: 'ar',
      dir: 'rtl',
      title: 'صقر',
      description: 'ضبط النماذج اللغوية الكبيرة من TypeScript',
      themeConfig: {
        nav: [page('الأدلة', '/overview'), page('الخيارات', '/options'), page('الواجهة البرمجية', '/api/')],
        sidebar: [],
        outline: { label: 'في هذه الصفحة', level: [2, 3] },
        darkModeSwitchLabel: 'المظهر',
        langMenuLabel: 'اللغة',
      },
    },
  },
  themeConfig: {
    i18nRouting: false,
    nav: [page('Guides', '/guides/first-fine-tune'), page('Options', '/options'), page('API', '/api/'), page('About', '/about')],
    sidebar,
    outline: { level: [2, 3] },
    search: { provider: 'local' },
  },
})
