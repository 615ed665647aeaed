// A browser on a page of another origin logs in by cookies, refreshes and logs out. Twice: without
// TLS, as in development, and with it, where the cookies have their real names.
// Ends with 1 at the first thing that is not as it should be.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { chromium } from 'playwright-core';

const { executable, password, sites } = JSON.parse(process.argv[2]);

// Pages without anything on them, at an origin of their own.
async function pages(port, tls) {
  const answer = (_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>a page</title>');
  };
  const server = tls
    ? https.createServer({ cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }, answer)
    : http.createServer(answer);
  await new Promise((resolve) => server.listen(port, 'localhost', resolve));
  return `${tls ? 'https' : 'http'}://localhost:${server.address().port}`;
}

// What a script in the page gets.
function call(page, method, url, { body, csrf } = {}) {
  return page.evaluate(
    async ([method, url, body, csrf]) => {
      const headers = {};
      if (body) headers['Content-Type'] = 'application/json';
      if (csrf) headers['X-CSRF-Token'] = csrf;
      const options = { method, headers, credentials: 'include' };
      if (body) options.body = JSON.stringify(body);
      try {
        const answer = await fetch(url, options);
        const text = await answer.text();
        return { status: answer.status, json: text ? JSON.parse(text) : null };
      } catch (error) {
        return { blocked: String(error) };
      }
    },
    [method, url, body, csrf],
  );
}

async function visit(browser, { api, port, names, tls }) {
  const context = await browser.newContext({ ignoreHTTPSErrors: Boolean(tls) });
  const page = await context.newPage();
  await page.goto(await pages(port, tls));
  const auth = `${api}/api/v1/auth`;
  const sessions = () => call(page, 'GET', `${api}/api/v1/me/sessions`);
  const cookies = async () => {
    const all = await context.cookies(api);
    return Object.fromEntries(all.map((cookie) => [cookie.name, cookie]));
  };

  assert.equal((await sessions()).status, 401);
  const login = { login: 'maria', password, cookies: true };
  const wrong = await call(page, 'POST', `${auth}/login`, { body: { ...login, password: 'wrong wrong wrong' } });
  assert.equal(wrong.status, 401);
  assert.deepEqual(await cookies(), {});
  const opened = await call(page, 'POST', `${auth}/login`, { body: login });
  assert.equal(opened.status, 200, JSON.stringify(opened));
  assert.equal(opened.json.access_token, undefined);
  assert.equal(opened.json.refresh_token, undefined);

  const first = await cookies();
  assert.deepEqual(Object.keys(first).sort(), Object.values(names).sort());
  for (const [what, name] of Object.entries(names)) {
    const { httpOnly, secure, sameSite, path, domain, expires } = first[name];
    const got = { httpOnly, secure, sameSite, path, domain };
    const wanted = { httpOnly: what !== 'csrf', secure: Boolean(tls), sameSite: 'Lax', path: '/', domain: 'localhost' };
    assert.deepEqual(got, wanted, name);
    assert.ok(expires > 0, `${name} has an end`);
  }
  const csrf = opened.json.csrf_token;
  assert.equal(first[names.csrf].value, csrf);
  const seen = await page.evaluate(() => document.cookie);
  assert.ok(!seen.includes(names.access) && !seen.includes(names.refresh), seen);
  assert.equal((await sessions()).json.items.length, 1);

  // Without the CSRF header, and with a wrong one.
  for (const route of ['refresh', 'logout']) {
    for (const wrong of [undefined, 'x', `${csrf}x`]) {
      const refused = await call(page, 'POST', `${auth}/${route}`, { csrf: wrong });
      assert.equal(refused.status, 403, `${route} with ${wrong}: ${JSON.stringify(refused)}`);
      assert.equal(refused.json.code, 'cross_site');
    }
  }
  assert.deepEqual(await cookies(), first);

  // A page of an origin that is not configured, though it knows the token.
  const stranger = await context.newPage();
  await stranger.goto(await pages(0, tls));
  for (const [method, url] of [['POST', `${auth}/refresh`], ['POST', `${auth}/logout`], ['GET', `${api}/api/v1/me/sessions`]]) {
    const got = await call(stranger, method, url, { csrf });
    assert.ok(got.blocked, `${url}: ${JSON.stringify(got)}`);
  }
  // A form needs nobody's permission to be sent.
  for (const route of ['refresh', 'logout']) {
    const sent = stranger.waitForResponse(`${auth}/${route}`);
    await stranger.evaluate((url) => {
      document.body.innerHTML = `<iframe name="frame"></iframe>
        <form method="post" enctype="text/plain" target="frame" action="${url}"><input name="x" value="y"></form>`;
      document.forms[0].submit();
    }, `${auth}/${route}`);
    const status = (await sent).status();
    assert.ok(status >= 400 && status < 500, `a form to ${route}: ${status}`);
  }
  await stranger.close();
  assert.deepEqual(await cookies(), first);
  assert.equal((await sessions()).status, 200);

  const refreshed = await call(page, 'POST', `${auth}/refresh`, { csrf });
  assert.equal(refreshed.status, 200, JSON.stringify(refreshed));
  const second = await cookies();
  for (const name of [names.access, names.refresh]) {
    assert.notEqual(second[name].value, first[name].value);
  }
  assert.equal(second[names.csrf].value, refreshed.json.csrf_token);
  assert.equal((await sessions()).json.items.length, 1);

  const logout = await call(page, 'POST', `${auth}/logout`, { csrf: refreshed.json.csrf_token });
  assert.equal(logout.status, 204, JSON.stringify(logout));
  assert.deepEqual(await context.cookies(), []);
  assert.equal((await sessions()).status, 401);

  // What was kept is worth nothing any more.
  await context.addCookies(Object.values(second));
  assert.equal((await sessions()).status, 401);
  const again = await call(page, 'POST', `${auth}/refresh`, { csrf: refreshed.json.csrf_token });
  assert.equal(again.status, 401, JSON.stringify(again));
  await context.close();
}

const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-dev-shm-usage',
  '--disable-sync',
  '--no-first-run',
];
const browser = await chromium.launch({ executablePath: executable, headless: true, args });
try {
  for (const site of sites) await visit(browser, site);
} finally {
  await browser.close();
}
process.exit(0);
