import { readFileSync, statSync } from 'node:fs'
import type { PagesSettings } from '../config/settings.ts'
import type { Pages } from '../edge/pages/layout.ts'
import { brandedPages } from '../edge/pages/layout.ts'
import { compileTemplate } from '../edge/pages/template.ts'
import { StartError } from '../kernel/start-error.ts'

const FILE_BYTES_MAX = 64 * 1024

/** The gateway's own pages in the operator's clothes: the files are read now, so that a mistake is found at the start and not when something else fails. */
export const pagesOf = ({ name, accent, support, logoFile, templateFile }: PagesSettings): Pages =>
  brandedPages({
    name,
    accent,
    support,
    ...(logoFile !== undefined && { logo: logoOf(logoFile) }),
    ...(templateFile !== undefined && { template: templateOf(templateFile) }),
  })

const readBounded = (setting: string, file: string): Buffer => {
  const found = statSync(file, { throwIfNoEntry: false })
  if (!found?.isFile()) throw new StartError('pages.file-unreadable', `${setting} is not a file that can be read: ${file}`)
  if (found.size > FILE_BYTES_MAX)
    throw new StartError('pages.file-too-large', `${setting} is larger than 64 KiB: ${file}. It is a part of every page`)
  return readFileSync(file)
}

const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])

/** As an image in `<img>` an SVG file runs no script and loads nothing. */
const logoOf = (file: string): string => {
  const bytes = readBounded('pages.logo_file', file)
  if (bytes.subarray(0, PNG.length).equals(PNG)) return `data:image/png;base64,${bytes.toString('base64')}`
  if (/^\s*(?:<\?xml[^>]*>\s*)?(?:<!--[\s\S]*?-->\s*)*(?:<!doctype svg[^>]*>\s*)?<svg[\s>]/i.test(utf8(bytes) ?? ''))
    return `data:image/svg+xml;base64,${bytes.toString('base64')}`
  throw new StartError('pages.logo-refused', `pages.logo_file is neither SVG nor PNG: ${file}`)
}

const templateOf = (file: string) => {
  const source = utf8(readBounded('pages.template_file', file))
  if (source === undefined) throw new StartError('pages.template-refused', `pages.template_file is not UTF-8: ${file}. Save it as UTF-8`)
  const template = compileTemplate(source.replaceAll('\r\n', '\n'))
  if (template.kind === 'ok') return template
  const { line, column, reason, fix } = template
  throw new StartError('pages.template-refused', `pages.template_file ${file}:${line}:${column}: ${reason}. ${fix}`)
}

const utf8 = (bytes: Buffer): string | undefined => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
