/** What a page is filled with; `style`, `actions`, `logo` and `support` are HTML of ours, the others text that is escaped. */
export const PLACEHOLDERS = ['title', 'text', 'actions', 'request_id', 'style', 'name', 'logo', 'support'] as const
export type Placeholder = (typeof PLACEHOLDERS)[number]
/** Without these a page would say too little, or leave its reader nowhere to go. */
const REQUIRED: readonly Placeholder[] = ['title', 'text', 'actions', 'request_id']

export type Part = { readonly kind: 'html'; readonly html: string } | { readonly kind: 'value'; readonly name: Placeholder }

export type Template =
  | {
      readonly kind: 'ok'
      readonly parts: readonly Part[]
      /** Content of each `<style>`, to be named by its hash. */
      readonly styles: readonly string[]
    }
  | { readonly kind: 'refused'; readonly line: number; readonly column: number; readonly reason: string; readonly fix: string }

/** Comment; style; other tag; declaration; placeholder. A `<` that starts none of them is taken for a mistake. */
const TOKEN =
  /<!--(?<comment>[\s\S]*?)-->|<style(?<styleAttributes>(?:\s[^<>]*)?)>(?<style>[\s\S]*?)<\/style\s*>|<(?<close>\/?)(?<tag>[a-z][^\s/<>"']*)(?<attributes>(?:"[^"]*"|'[^']*'|[^"'<>])*)>|(?<doctype><!doctype[^<>]*>)|\{\{(?<name>[^{}]*)\}\}|(?<stray><(?=[a-z/!?]))|(?<brace>\{\{|\}\})/gi

const FORBIDDEN_TAGS =
  /^(?:script|iframe|frame|frameset|object|embed|applet|portal|fencedframe|base|link|form|input|button|textarea|select|meta-refresh|xmp|plaintext|listing|noembed|noframes|noscript|template|foreignobject|animate|animatetransform|animatemotion|set|use|audio|video|source|track)$/

/**
 * Reads an operator's template. What a page must never have is refused here, with place and cure, though its policy would stop it as well: a script that
 * silently does nothing helps nobody.
 * @param source line ends as LF: the hash of a style is taken of what the browser sees
 */
export const compileTemplate = (source: string): Template => {
  const parts: Part[] = []
  const styles: string[] = []
  const found = new Set<Placeholder>()
  let refused: Template | undefined
  let from = 0
  const refuse = (at: number, reason: string, fix: string): void => {
    const before = source.slice(0, at).split('\n')
    refused ??= { kind: 'refused', line: before.length, column: (before.at(-1)?.length ?? 0) + 1, reason, fix }
  }
  if (!/^\s*<!doctype html>/i.test(source))
    refuse(0, 'the template is no whole page', 'Start it with `<!doctype html>` and `<html lang="…">`.')
  for (const match of source.matchAll(TOKEN)) {
    const { index, groups = {} } = match
    if (groups['name'] !== undefined) {
      const name = PLACEHOLDERS.find((known) => known === groups['name'])
      if (name === undefined) {
        refuse(index, 'there is no such placeholder', `Use one of ${PLACEHOLDERS.map((known) => `{{${known}}}`).join(' ')}.`)
        continue
      }
      parts.push({ kind: 'html', html: source.slice(from, index) }, { kind: 'value', name })
      found.add(name)
      from = index + match[0].length
    } else if (groups['style'] !== undefined) {
      const fault = styleFault(groups['style']) ?? (/\{\{/.test(groups['styleAttributes'] ?? '') ? ELSEWHERE : undefined)
      if (fault) refuse(index, ...fault)
      styles.push(groups['style'])
    } else if (groups['tag'] !== undefined) {
      const fault = groups['close'] === '/' ? undefined : tagFault(groups['tag'].toLowerCase(), groups['attributes'] ?? '')
      if (fault) refuse(index, ...fault)
    } else if (groups['comment'] !== undefined) {
      if (groups['comment'].includes('{{')) refuse(index, ...ELSEWHERE)
      // Browsers end these earlier than it seems: what follows would be markup that nobody here has looked at.
      if (/^-?>|--!>/.test(groups['comment'])) refuse(index, 'a comment ends in an odd place', 'Write `<!-- … -->`.')
    } else if (groups['stray'] !== undefined)
      refuse(index, 'a tag or comment is not closed', 'Close it with `>`; write `&lt;` for the sign itself.')
    else if (groups['brace'] !== undefined) refuse(index, 'a placeholder is not closed', 'Write it as `{{title}}`, without blanks.')
  }
  parts.push({ kind: 'html', html: source.slice(from) })
  const missing = REQUIRED.find((name) => !found.has(name))
  if (missing !== undefined)
    refuse(source.length, `the placeholder {{${missing}}} is missing`, `Put {{${missing}}} where it should be shown.`)
  if (!/<html\s[^<>]*\blang\s*=/i.test(source))
    refuse(Math.max(0, source.search(/<html/i)), 'the page does not say its language', 'Write `<html lang="en">`.')
  return refused ?? { kind: 'ok', parts, styles }
}

type Fault = readonly [reason: string, fix: string]

const ELSEWHERE: Fault = [
  'a placeholder stands inside a tag, a style or a comment',
  'Put it between tags: what it stands for is text or whole elements.',
]

const styleFault = (style: string): Fault | undefined => {
  if (style.includes('{{')) return ELSEWHERE
  if (style.includes('<')) return ['a style holds markup', 'Close it with `</style>`, and write no `<` in it.']
  if (/@import|url\(\s*(?!["']?data:image\/|["']?#)/i.test(style.replace(/\/\*[\s\S]*?\*\//g, '')))
    return ['a style loads something', 'The pages load nothing: use `url(data:image/…)`, and fonts of the system.']
  return undefined
}

const ATTRIBUTE = /([^\s"'=/]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+)))?/g

const tagFault = (tag: string, attributes: string): Fault | undefined => {
  if (tag === 'script') return ['the template has a script', 'Remove it: the pages work without script, and their policy would stop it.']
  if (tag === 'style') return ['a style is not closed', 'Close it with `</style>`.']
  if (FORBIDDEN_TAGS.test(tag))
    return [
      'the template has an element that the pages do not allow',
      `Remove <${tag.slice(0, 20)}>: a page is text, links, styles and images.`,
    ]
  if (attributes.includes('{{')) return ELSEWHERE
  for (const [, rawName = '', double, single, bare] of attributes.matchAll(ATTRIBUTE)) {
    const name = rawName.toLowerCase()
    // As written: what begins with one of the few below begins with it in a browser, too.
    const value = double ?? single ?? bare ?? ''
    if (name.startsWith('on')) return ['an element has an event handler', 'Remove it: the pages work without script.']
    if (name === 'style') return ['an element has a style attribute', 'Move it into `<style>`: the policy of the pages allows no other.']
    if (name === 'http-equiv') return ['a meta element stands for a header', 'Remove it: the gateway sends the headers.']
    if (/^(?:srcset|srcdoc|ping|background|poster|action|formaction|data)$/.test(name))
      return ['an attribute loads or sends something', `Remove \`${name}\`: the pages load nothing.`]
    if (name === 'src' && !/^data:image\/(?:svg\+xml|png|jpeg|gif|webp)[;,]/i.test(value))
      return ['an image is loaded from elsewhere', 'Put it into the page as `data:image/…`, or use `{{logo}}`.']
    if (/(?:^|:)href$/.test(name) && !/^(?:https?:\/\/|mailto:|tel:|#|\/(?![/\\]))/i.test(value))
      return ['a link leads somewhere odd', 'Use `https://…`, `mailto:…`, `tel:…`, `#…` or a path such as `/help`.']
  }
  return undefined
}
