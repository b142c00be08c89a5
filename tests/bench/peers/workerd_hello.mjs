// What workerd serves: JavaScript, since it has no WASI.
export default {
  fetch() {
    return new Response("hello from inside the brig\n");
  },
};
