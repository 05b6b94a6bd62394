"""The web page of `sgmg serve`: a Gradio server (queue, API, sign-in) behind a page of our own."""
