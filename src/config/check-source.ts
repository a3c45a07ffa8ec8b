import { knownAt } from './known.ts'
import { isReference, literalPart } from './reference.ts'
import type { Report } from './report.ts'
import type { Tree } from './tree.ts'

/** What must not be written into the file, whatever else is wrong with it: looked at before the schema, on the source text of each value. */
export const checkSource = (tree: Tree, report: Report): void => {
  for (const entry of tree.entries.values()) {
    if (entry.raw === undefined) continue
    if (knownAt(entry.path)?.secret && !isReference(entry.raw) && !entry.raw.includes('${'))
      report({ code: 'config.secret-literal', path: entry.path })
    else if (knownAt(entry.path)?.secret && literalPart(entry.raw).trim() !== '')
      report({ code: 'config.secret-literal', path: entry.path, reason: 'a part of a secret is written into the file' })
    if (hasLiteralPassword(entry.raw)) report({ code: 'config.url-credentials', path: entry.path })
  }
}

/** `redis://:password@host`, unless the password is a reference and nothing else. */
const hasLiteralPassword = (raw: string): boolean => {
  const userinfo = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)@/i.exec(raw)?.[1]
  if (userinfo === undefined) return false
  // The colon inside `${env:NAME}` separates nothing.
  const reference = /^[^:]*?:(\$\{.*\})$/.exec(userinfo)?.[1]
  return (
    !(reference !== undefined && isReference(reference)) &&
    literalPart(userinfo).includes(':') &&
    literalPart(userinfo).replace(/^[^:]*:/, '') !== ''
  )
}
