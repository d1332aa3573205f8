/* view: a connection that takes too long is closed, whatever it says meanwhile; a second server is refused its port. */
#include "check.h"
#include "e3/num.h"
#include "e3/view_server.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_to(const char *url)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

/* A letter at a time, so that something always comes. */
static void slowly(void **state)
{
	static const char head[] = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ";
	e3_err err = {""};
	e3_view_store *v = e3_view_open(&(e3_view_options){0}, &err);
	assert_non_null(v);
	const e3_view_server_options o = {.listen = "127.0.0.1:0", .handshake = 0.3};
	e3_view_server *s = e3_view_server_open(&o, v, &err);
	assert_non_null(s);
	int silent = connect_to(e3_view_server_url(s)), slow = connect_to(e3_view_server_url(s));
	char byte;
	bool closed[2] = {false, false};
	double until = e3_now() + 60;
	for (size_t k = 0; !(closed[0] && closed[1]) && e3_now() < until; k++) {
		const char *at = k < sizeof head - 1 ? head + k : "a";
		if (!closed[1] && send(slow, at, 1, MSG_NOSIGNAL) < 0)
			closed[1] = true;
		struct pollfd p[2] = {{.fd = silent, .events = POLLIN}, {.fd = slow, .events = POLLIN}};
		if (poll(p, 2, 20) > 0)
			for (int j = 0; j < 2; j++)
				closed[j] = closed[j] || (p[j].revents && recv(p[j].fd, &byte, 1, MSG_DONTWAIT) <= 0);
	}
	assert_true(closed[0]);
	assert_true(closed[1]);
	close(silent), close(slow);
	e3_view_server_close(s, NULL);
	e3_view_close(v);
}

static void one_port_one_server(void **state)
{
	e3_err err = {""};
	char at[64];
	e3_view_store *v = e3_view_open(&(e3_view_options){0}, &err);
	e3_view_server *s = e3_view_server_open(&(e3_view_server_options){.listen = "127.0.0.1:0"}, v, &err);
	assert_non_null(s);
	snprintf(at, sizeof at, "127.0.0.1:%d", atoi(strrchr(e3_view_server_url(s), ':') + 1));
	assert_null(e3_view_server_open(&(e3_view_server_options){.listen = at}, v, &err));
	assert_non_null(strstr(err.text, "Address already in use"));
	e3_view_server_close(s, "the test has ended");
	e3_view_close(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(slowly), cmocka_unit_test(one_port_one_server)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
