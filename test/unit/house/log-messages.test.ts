import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '../../..')
const CALL = /\blog\.(?:debug|info|warn|error)\(/g
/** What stands between the parenthesis at `start` and its own end. */
const argumentsAt = (text: string, start: number): string => {
  let depth = 1
  let quote: string | undefined
  for (let at = start; at < text.length; at += 1) {
    const char = text[at] ?? ''
    if (quote !== undefined) {
      if (char === '\\') at += 1
      else if (char === quote) quote = undefined
    } else if (char === "'" || char === '"' || char === '`') quote = char
    else if ('({['.includes(char)) depth += 1
    else if (')}]'.includes(char)) depth -= 1
    if (depth === 0) return text.slice(start, at)
  }
  return ''
}
/** The last argument is a sentence of ours; or `message`, where one log hands it on to another. */
const CONSTANT = /,\s*(?:'[^'\\]*'|message),?\s*$/

it('every message of the log is a constant: what differs stands beside it, as a fact from the list', () => {
  const calls = globSync('src/**/*.ts', { cwd: root }).flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    return [...text.matchAll(CALL)].map((call) => `${file}: ${argumentsAt(text, call.index + call[0].length)}`)
  })
  expect(calls.length).toBeGreaterThan(80)
  expect(calls.filter((call) => !CONSTANT.test(call))).toEqual([])
})
