// Takes the picture of the console for the README: one entry sent, and arrived.
import { button, launch, open, run } from './browser.js';

const browser = await launch();
const { page } = await open(browser, { width: 1280, height: 900, colorScheme: 'light', reducedMotion: 'reduce' });
await page.locator('#instances li').first().waitFor();
await button.send(page).click();
const shown = await run(page, /and only once/);
await shown.hover();
const { y, height } = await shown.boundingBox();
const scrolled = await page.evaluate(() => scrollY);
await page.screenshot({ path: process.argv[2], fullPage: true, clip: { x: 0, y: 0, width: 1280, height: Math.ceil(y + scrolled + height + 24) } });
await browser.close();
