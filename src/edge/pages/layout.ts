import { csp, hashSource } from '../answer.ts'
import { pageStyle } from './style.ts'
import type { Placeholder, Template } from './template.ts'
import { compileTemplate } from './template.ts'

/** For text and for quoted attributes. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** Two doors, never open at the same time. Drawn here so that the page loads nothing. */
const MARK =
  '<svg class="mark" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M4 21V8l8-5 8 5v13"/><path d="M9 21v-9h6v9"/><path d="M12 12v9"/></svg>'

export interface Action {
  readonly label: string
  /** A path on our origin, already validated. */
  readonly href: string
}

export interface Entry {
  readonly heading: string
  readonly lines: readonly string[]
  /** A form of its own. `describes`: what a screen reader says after the label, so that no two buttons read alike. */
  readonly button: { readonly label: string; readonly describes: string; readonly action: string }
}

export interface PageContent {
  readonly title: string
  readonly text: string
  readonly entries?: readonly Entry[]
  readonly actions: readonly Action[]
  readonly requestId: string
}

/** How the operator wants the gateway's own pages to look. */
export interface Branding {
  readonly name?: string | undefined
  /** `#rrggbb` */
  readonly accent?: string | undefined
  /** `data:` URI of an image. */
  readonly logo?: string | undefined
  /** `url` has been validated: https, mailto, tel, or a path. */
  readonly support?: { readonly text: string; readonly url?: string | undefined } | undefined
  readonly template?: Extract<Template, { kind: 'ok' }>
}

export interface Pages {
  /** Small, without script, readable by a screen reader in one breath; the request id is the only detail it gives away. */
  readonly render: (content: PageContent) => string
  /** The Content-Security-Policy that goes with it. */
  readonly policy: string
}

const DEFAULT_TEMPLATE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<title>{{title}}</title>
{{style}}
</head>
<body>
<main>
<div class="brand">{{logo}}{{name}}</div>
<h1>{{title}}</h1>
<p>{{text}}</p>
{{actions}}{{support}}<footer>Request <code>{{request_id}}</code></footer>
</main>
</body>
</html>
`

/** Made once; what a request brings is filled in, escaped, in one pass: a value that looks like a placeholder stays text. */
export const brandedPages = (branding: Branding): Pages => {
  const style = pageStyle(branding.accent)
  const template = branding.template ?? ownTemplate()
  const fixed: Partial<Record<Placeholder, string>> = {
    style: `<style>${style}</style>`,
    name: escapeHtml(branding.name ?? ''),
    logo: branding.logo === undefined ? MARK : `<img class="logo" src="${escapeHtml(branding.logo)}" alt="">`,
    support: branding.support === undefined ? '' : supportLine(branding.support),
  }
  // Styles are named by their hashes, so that nothing injected would ever apply.
  const styles = [...new Set([style, ...template.styles].map(hashSource))].join(' ')
  const hasImages = branding.logo !== undefined || branding.template !== undefined
  return {
    policy: csp(`style-src ${styles}`, ...(hasImages ? ['img-src data:'] : [])),
    render: (content) => {
      const values: Partial<Record<Placeholder, string>> = {
        ...fixed,
        title: escapeHtml(content.title),
        text: escapeHtml(content.text),
        actions: entryList(content.entries ?? []) + actionList(content.actions),
        request_id: escapeHtml(content.requestId),
      }
      return template.parts.map((part) => (part.kind === 'html' ? part.html : (values[part.name] ?? ''))).join('')
    },
  }
}

const ownTemplate = (): Extract<Template, { kind: 'ok' }> => {
  const template = compileTemplate(DEFAULT_TEMPLATE)
  if (template.kind === 'refused') throw new Error('the gateway refuses its own template')
  return template
}

const entryList = (entries: readonly Entry[]): string =>
  entries.length === 0 ? '' : `<ul class="entries">\n${entries.map(entryItem).join('')}</ul>\n`

const entryItem = ({ heading, lines, button }: Entry): string =>
  `<li><div><h2>${escapeHtml(heading)}</h2>${lines.map((line) => `<p>${escapeHtml(line)}</p>`).join('')}</div>` +
  `<form method="post" action="${escapeHtml(button.action)}"><button aria-label="${escapeHtml(`${button.label}: ${button.describes}`)}">${escapeHtml(button.label)}</button></form></li>\n`

const actionList = (actions: readonly Action[]): string =>
  actions.length === 0
    ? ''
    : `<div class="actions">${actions.map(({ href, label }) => `<a href="${escapeHtml(href)}">${escapeHtml(label)}</a>`).join('')}</div>\n`

const supportLine = ({ text, url }: NonNullable<Branding['support']>): string =>
  `<p class="support">${url === undefined ? escapeHtml(text) : `<a href="${escapeHtml(url)}">${escapeHtml(text)}</a>`}</p>\n`

/** Where the operator has not said anything. */
export const PLAIN_PAGES: Pages = brandedPages({})
