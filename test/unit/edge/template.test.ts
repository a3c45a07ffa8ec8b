import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cpuMs } from '../../harness/cpu-time.ts'
import { hashSource } from '../../../src/edge/answer.ts'
import { contrast, readableAs, readableOn } from '../../../src/edge/pages/accent.ts'
import { brandedPages, PLAIN_PAGES } from '../../../src/edge/pages/layout.ts'
import { compileTemplate } from '../../../src/edge/pages/template.ts'

const GOOD = `<!doctype html>
<html lang="en">
<title>{{title}}</title>
<style>body{color:red}</style>
<h1>{{title}}</h1>
<p>{{text}}</p>
{{actions}}
<p>{{request_id}}</p>
</html>
`
/** With another sixth line. */
const sixth = (line: string): string => GOOD.replace('<p>{{text}}</p>', line)
const CONTENT = { title: 'T', text: 'x', actions: [{ label: 'Go', href: '/' }], requestId: 'r1' }

const compiled = (source: string) => {
  const template = compileTemplate(source)
  if (template.kind === 'refused') throw new Error(`${template.line}:${template.column} ${template.reason}`)
  return template
}

describe('a template is refused with place and cure', () => {
  it.each([
    ['a script', '<p>{{text}}</p><script>x()</script>', '6:16', /script/, /Remove it/],
    ['a script in capitals', '<p>{{text}}</p><SCRIPT src=x>', '6:16', /script/, /Remove it/],
    ['a script in an SVG', '<p>{{text}}</p><svg><script href="x"/></svg>', '6:21', /script/, /Remove it/],
    ['a handler', '<p onclick="x()">{{text}}</p>', '6:1', /event handler/, /without script/],
    ['a handler after a slash', '<img/onerror=x src="data:image/png;base64,AA">{{text}}', '6:1', /event handler/, /without script/],
    ['a style attribute', '<p style="color:red">{{text}}</p>', '6:1', /style attribute/, /<style>/],
    ['a form', '<form>{{text}}</form>', '6:1', /does not? allow|do not allow/, /Remove <form>/],
    ['a frame', '{{text}}<iframe srcdoc="x"></iframe>', '6:9', /do not allow/, /Remove <iframe>/],
    ['a base', '{{text}}<base href="https://evil.example/">', '6:9', /do not allow/, /Remove <base>/],
    ['a stylesheet', '{{text}}<link rel=stylesheet href=x>', '6:9', /do not allow/, /Remove <link>/],
    ['a refresh', '{{text}}<meta http-equiv="refresh" content="0;url=//evil">', '6:9', /stands for a header/, /Remove it/],
    ['an image from elsewhere', '{{text}}<img src="https://cdn.example/x.png">', '6:9', /loaded from elsewhere/, /{{logo}}/],
    ['a set of images', '{{text}}<img srcset="x 2x">', '6:9', /loads or sends/, /srcset/],
    ['a link to a script', '{{text}}<a href="javascript:x()">x</a>', '6:9', /leads somewhere odd/, /https/],
    ['the same, spelt otherwise', '{{text}}<a href="java&#115;cript:x()">x</a>', '6:9', /leads somewhere odd/, /https/],
    ['the same, with a tab', '{{text}}<a href="\tjavascript:x()">x</a>', '6:9', /leads somewhere odd/, /https/],
    ['a link to another host', '{{text}}<a href="//evil.example">x</a>', '6:9', /leads somewhere odd/, /https/],
    ['an import', '{{text}}<style>@import "x"</style>', '6:9', /loads something/, /data:image/],
    ['a background', '{{text}}<style>a{background:url(/x.png)}</style>', '6:9', /loads something/, /data:image/],
    ['markup in a style', '{{text}}<svg><style><a onclick=x></style></svg>', '6:14', /holds markup/, /<\/style>/],
    ['a style that goes on', '{{text}}<style>a{}', '6:9', /not closed/, /<\/style>/],
    ['an unknown placeholder', '{{text}}{{user}}', '6:9', /no such placeholder/, /{{title}}/],
    ['a placeholder with blanks', '{{ text }}', '6:1', /no such placeholder/, /{{text}}/],
    ['an open placeholder', '{{text}}{{title', '6:9', /not closed/, /without blanks/],
    ['a placeholder in an attribute', '{{text}}<p title="{{text}}">x</p>', '6:9', /inside a tag/, /between tags/],
    ['a placeholder in a bare attribute', '{{text}}<p title={{text}}>x</p>', '6:9', /inside a tag/, /between tags/],
    ['a placeholder in a style', '{{text}}<style>{{text}}</style>', '6:9', /inside a tag/, /between tags/],
    ['a placeholder in a comment', '{{text}}<!-- {{text}} -->', '6:9', /inside a tag/, /between tags/],
    ['a comment that ends early', '{{text}}<!--><b onclick=x>-->', '6:9', /odd place/, /<!-- /],
    ['an open tag', '{{text}}<p', '6:9', /not closed/, /&lt;/],
    ['an open comment', '{{text}}<!-- x', '6:9', /not closed/, /&lt;/],
    ['a required placeholder less', 'nothing', '10:1', /{{text}} is missing/, /Put {{text}}/],
  ])('%s', (_what, line, at, reason, fix) => {
    const template = compileTemplate(sixth(line))
    if (template.kind === 'ok') throw new Error('it was taken')
    expect(`${template.line}:${template.column}`).toBe(at)
    expect(template.reason).toMatch(reason)
    expect(template.fix).toMatch(fix)
  })

  it.each([
    ['no doctype', GOOD.replace('<!doctype html>', ''), '1:1', 'no whole page'],
    ['no language', GOOD.replace(' lang="en"', ''), '2:1', 'language'],
    ['an empty file', '', '1:1', 'no whole page'],
  ])('%s', (_what, source, at, reason) => {
    const template = compileTemplate(source)
    if (template.kind === 'ok') throw new Error('it was taken')
    expect(`${template.line}:${template.column}`).toBe(at)
    expect(template.reason).toContain(reason)
  })

  it('whatever it holds: it is answered, and in no time', () => {
    fc.assert(fc.property(fc.string({ maxLength: 300 }), (text) => void compileTemplate(sixth(text))))
    const started = cpuMs()
    for (const piece of ['<', '<a ', '<a "', '{{', '<!--', '<style>', '</style', '<a x="\'']) compileTemplate(piece.repeat(4096))
    expect(cpuMs() - started).toBeLessThan(5000)
  })
})

describe('a page made of a template', () => {
  const pages = brandedPages({ template: compiled(GOOD), name: 'A & B' })

  it('names each style by its hash, its own included, and allows images that are part of it', () => {
    expect(pages.policy).toContain(hashSource('body{color:red}'))
    expect(pages.policy).toContain('img-src data:')
    expect(pages.policy).toMatch(/^default-src 'none'; .*frame-ancestors 'none'$/)
    expect(pages.policy).not.toMatch(/unsafe|script-src/)
  })

  it.each([
    ['markup', '<script>alert(1)</script>'],
    ['an attribute', '" onmouseover="x'],
    ['an apostrophe', "' autofocus onfocus='x"],
    ['a placeholder', '{{actions}}{{style}}'],
    ['what String.replace would read', '$& $1 $` $$'],
    ['an end of a comment', '--><b>'],
  ])('never holds what a request brings unescaped: %s', (_what, hostile) => {
    for (const made of [pages, PLAIN_PAGES, brandedPages({ support: { text: 'Help', url: '/help' }, logo: 'data:image/png;base64,AA' })]) {
      const calm = made.render({ title: '', text: '', actions: [{ label: '', href: '' }], requestId: '' })
      const html = made.render({ title: hostile, text: hostile, actions: [{ label: hostile, href: hostile }], requestId: hostile })
      // The same elements, whatever the values: nothing came to be markup.
      expect(html.match(/[<>"']/g)).toEqual(calm.match(/[<>"']/g))
      expect(html.match(/class="actions"/g)).toHaveLength(1)
    }
  })

  it('says what the operator says, escaped', () => {
    const html = brandedPages({ name: '<Shop>', support: { text: 'Call & ask', url: 'mailto:a@example.com?subject="x"' } }).render(CONTENT)
    expect(html).toContain('&#60;Shop&#62;')
    expect(html).toContain('<a href="mailto:a@example.com?subject=&#34;x&#34;">Call &#38; ask</a>')
  })

  it('the example of the documentation is one', () => {
    const example = compiled(readFileSync(new URL('../../../examples/branding.html', import.meta.url), 'utf8'))
    expect(brandedPages({ template: example }).render(CONTENT)).toContain('r1')
  })
})

describe('an accent can be read', () => {
  const GROUNDS = { light: ['#ffffff', '#f4f5f7'], dark: ['#1b212a', '#12161c'] }
  it('whatever the colour: as text in light and dark, and what stands on it', () => {
    const channel = fc.integer({ min: 0, max: 255 })
    const colour = fc.tuple(channel, channel, channel).map((rgb) => `#${rgb.map((part) => part.toString(16).padStart(2, '0')).join('')}`)
    fc.assert(
      fc.property(colour, (accent) => {
        for (const ground of GROUNDS.light)
          expect(contrast(readableAs(accent, GROUNDS.light, '#000000'), ground)).toBeGreaterThanOrEqual(4.5)
        for (const ground of GROUNDS.dark) expect(contrast(readableAs(accent, GROUNDS.dark, '#ffffff'), ground)).toBeGreaterThanOrEqual(4.5)
        expect(contrast(readableOn(accent), accent)).toBeGreaterThanOrEqual(4.5)
      }),
    )
  })

  it('one that can be read already stays as it is', () => {
    expect(readableAs('#7a1fd0', GROUNDS.light, '#000000')).toBe('#7a1fd0')
    expect(contrast('#ffffff', '#000000')).toBeCloseTo(21)
    expect(contrast('#777777', '#ffffff')).toBeCloseTo(4.48, 2)
  })

  it('our own colours can', () => {
    const style = PLAIN_PAGES.render(CONTENT)
    const [light = '', dark = ''] = [...style.matchAll(/:root\{[^}]*\}/g)].map(([rule]) => rule)
    for (const rule of [light, dark]) {
      const of = (name: string): string => rule.match(new RegExp(`--${name}:(#[0-9a-f]{3,6})`))?.[1] ?? ''
      for (const name of ['text', 'quiet', 'accent'])
        for (const ground of ['card', 'ground']) expect(contrast(of(name), of(ground)), `${name} on ${ground}`).toBeGreaterThanOrEqual(4.5)
      expect(contrast(of('on-fill'), of('fill'))).toBeGreaterThanOrEqual(4.5)
    }
  })
})
