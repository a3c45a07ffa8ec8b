import { readFileSync } from 'node:fs'

/** Of package.json, which lies two levels above in the source tree and in the image. */
export const version = (): string => {
  const text: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return typeof text === 'object' && text !== null && 'version' in text ? String(text.version) : 'unknown'
}
