// "A certificate, checked": fetches its proof, has certificate.js check it, and shows each step.
import * as certificate from "./certificate.js";
import {by, checking} from "./steps.js";
import {gettext} from "./words.js";

const page = by("certificate");
const {fetched} = checking(
  page, certificate, gettext("This energy was used up for good: your browser checked every step. What no browser can check stands at the end."),
  proof => [[gettext("Program of the energy tokens"), proof.program], [gettext("Account"), proof.wallet]],
);
await fetched(page.dataset.proof);
